using System.Text.Json;
using Exitless.EndToEnd;
using Exitless.Lab;
using Exitless.Run.Stack;

[assembly: AssemblyFixture(typeof(DemoFixture))]

namespace Exitless.EndToEnd;

/// <summary>One control plane, one lab host and the demo VM, shared by all tests of the assembly; a test that needs a fresh host boots it itself.</summary>
public sealed class DemoFixture : IAsyncLifetime
{
    /// <summary>The collection of all tests that use the shared host: what one of them kills, another would miss.</summary>
    public const string OneAfterAnother = "one after another";

    // The longest commands count for 45 seconds, and longer on a busy machine.
    private static readonly TimeSpan CommandLimit = TimeSpan.FromMinutes(5);

    private readonly string _folder = Directory.CreateTempSubdirectory("exitless-e2e-").FullName;

    /// <summary>The published programs, as <c>scripts/build</c> leaves them.</summary>
    public static string Artifacts => Checkout.At("artifacts");

    public DemoStack Stack { get; private set; } = null!;

    public LabHost Host { get; private set; } = null!;

    public Guid HostId { get; private set; }

    public DemoVm Vm { get; private set; } = null!;

    public ConsoleReader Console { get; private set; } = null!;

    public RestClient Rest => Stack.Rest;

    public async ValueTask InitializeAsync()
    {
        var cancellation = TestContext.Current.CancellationToken;
        // The database runs as another user, who has to be able to enter.
        File.SetUnixFileMode(_folder, (UnixFileMode)0b111_101_101);
        var (https, agents) = ControlPlaneServer.FreePorts();
        Stack = await DemoStack.StartAsync(
            new DemoStackOptions(Artifacts, Path.Combine(_folder, "data"), https, agents)
            {
                LabRunRoot = Path.Combine(_folder, "hosts"),
                Say = line => TestContext.Current.SendDiagnosticMessage(line),
            }, cancellation);
        (Host, HostId) = await Stack.BootHostAsync(new LabHostOptions { Name = "e2e" }, cancellation);
        await DemoVm.EnsureVfsAsync(Rest, HostId, 2, cancellation);
        Vm = await DemoVm.EnsureAsync(Rest, HostId, new DemoVmOptions { Rate = 10 }, cancellation);
        Console = await Vm.ConsoleAsync(cancellation);
        await Console.UntilAsync(line => GuestReport.Parse(line) is { Word: "ping" } ping && ping.Values.GetValueOrDefault("received") > 0, TimeSpan.FromMinutes(4), cancellation);
    }

    public async ValueTask DisposeAsync()
    {
        if (Console is not null)
            await Console.DisposeAsync();
        if (Stack is not null)
        {
            await Stack.DisposeAsync();
            // What the host and the control plane said last, for whoever has to find out why a test failed.
            var logs = Directory.CreateDirectory(Path.Combine(Artifacts, "logs")).FullName;
            await File.WriteAllLinesAsync(Path.Combine(logs, "control-plane.log"), Stack.Server.Output);
            if (Host is not null && File.Exists(Host.ConsoleLogPath))
            {
                File.Copy(Host.ConsoleLogPath, Path.Combine(logs, "host.log"), overwrite: true);
                File.Copy(Path.Combine(Path.GetDirectoryName(Host.ConsoleLogPath)!, "qemu.log"), Path.Combine(logs, "qemu.log"), overwrite: true);
            }
        }
        Directory.Delete(_folder, recursive: true);
    }

    /// <summary>Attaches to the console again, after the control plane was away.</summary>
    public async Task ReattachConsoleAsync()
    {
        await Console.DisposeAsync();
        Console = await Vm.ConsoleAsync(TestContext.Current.CancellationToken);
    }

    /// <summary>Runs a command in the host; it must succeed.</summary>
    public async Task<string> InHostAsync(string command)
    {
        var result = await Host.ShellAsync(command, CommandLimit, TestContext.Current.CancellationToken);
        Assert.True(result.ExitCode == 0, $"`{command}` ended with {result.ExitCode}: {result.Errors}");
        return result.Output.Trim();
    }

    /// <summary>The VM as REST shows it, which must be running: one that is not fails the test with all that its host and its process said last.</summary>
    public async Task<JsonElement> RunningAsync()
    {
        var vm = await Vm.GetAsync(TestContext.Current.CancellationToken);
        if (vm.GetProperty("state").GetString() == "running")
            return vm;
        var events = await Rest.GetAsync($"api/v1/events?vmId={Vm.Id}", TestContext.Current.CancellationToken);
        var host = await Host.ShellAsync($"tail -n 20 /run/exitless/vms/{Vm.Id}/vmm.log; dmesg | tail -n 20", TimeSpan.FromSeconds(60), TestContext.Current.CancellationToken);
        throw new InvalidOperationException(string.Join('\n',
        [
            $"the demo VM is {vm.GetProperty("state")}: {vm.GetProperty("endReason")}",
            .. events.EnumerateArray().Take(10).Select(one => $"{one.GetProperty("time")} {one.GetProperty("message")}"),
            host.Output, "its console:", Console.Text[^Math.Min(Console.Text.Length, 2000)..],
        ]));
    }

    /// <summary>Types a command on the guest's console and waits for the report that answers it.</summary>
    public async Task<GuestReport> ReportAsync(string command, Func<GuestReport, string, bool> wanted)
    {
        var cancellation = TestContext.Current.CancellationToken;
        var before = Console.Text.Length;
        await Console.TypeAsync(command, cancellation);
        var line = await Console.UntilAsync(one => GuestReport.Parse(one) is { } report && wanted(report, one), TimeSpan.FromSeconds(90), cancellation, before);
        return GuestReport.Parse(line)!;
    }

    /// <summary>Stops pinging; the final counts.</summary>
    public Task<GuestReport> StopPingAsync() =>
        ReportAsync("stop-ping", (report, line) => report.Word == "ping" && line.Contains("state=stopped", StringComparison.Ordinal));

    /// <summary>Starts pinging again, and waits until an answer has come.</summary>
    public async Task StartPingAsync()
    {
        var before = (await ReportAsync("report ping", (report, _) => report.Word == "ping")).Values["received"];
        await ReportAsync("start-ping", (report, _) => report.Word == "ping" && report.Values.GetValueOrDefault("received") > before);
    }
}
