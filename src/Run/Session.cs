using System.Globalization;
using Exitless.Lab;
using Exitless.Run.Stack;

namespace Exitless.Run;

/// <summary>What a session of <c>./run</c> shall do.</summary>
internal sealed record SessionOptions(string Artifacts, string DataFolder, bool Check, bool Lab, bool Eli);

/// <summary>One session of <c>./run</c>, from the start of the control plane to Ctrl-C.</summary>
internal sealed class Session(SessionOptions options, TimeProvider time)
{
    private const int HttpsPort = 7443;
    private const int AgentPort = 7444;
    private const string HostName = "lab-1";

    private static void Say(string line) => Console.Error.WriteLine(line);

    /// <summary>Runs until Ctrl-C, or with <c>--check</c> until the verdict.</summary>
    public async Task<int> RunAsync(CancellationToken cancellation)
    {
        var startedAt = StartedAt();
        try
        {
            await using var stack = await DemoStack.StartAsync(
                new DemoStackOptions(options.Artifacts, options.DataFolder, HttpsPort, AgentPort) { Say = Say }, cancellation);
            ShowAddress(stack.Server);
            DemoVm? vm = null;
            EliShow? show = null;
            if (options is { Lab: true, Eli: true })
                (vm, show) = await EliAsync(stack, cancellation);
            else if (options.Lab && SriovDevices() is [var device, ..])
                Say($"This machine has an SR-IOV device of its own ({device}), so no host is emulated. Enrol it: {stack.Server.Address}hosts shows the command.");
            else if (options.Lab)
                vm = await DemoAsync(stack, cancellation);
            if (options.Check && show is not null)
            {
                var verdict = await show.CheckAsync(cancellation);
                Console.WriteLine(EliShow.Json(verdict));
                return verdict.Ok ? 0 : 1;
            }
            if (options.Check)
            {
                var verdict = vm is null
                    ? Check.Failure("demo", "without the lab there is no demo VM to check")
                    : await Check.OfAsync(vm, startedAt, time, cancellation);
                Console.WriteLine(verdict.ToJson());
                return verdict.Ok ? 0 : 1;
            }
            if (vm is not null)
                Say($"The demo VM runs: {stack.Server.Address}vms/{vm.Id}");
            ShowAddress(stack.Server);
            Say("Ctrl-C stops everything.");
            if (show is not null)
                await show.RunAsync(cancellation);
            await Task.Delay(Timeout.InfiniteTimeSpan, time, cancellation);
            return 0;
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            Say("Stopped.");
            return options.Check ? 1 : 0;
        }
        catch (RunFailedException failure)
        {
            return Failed(failure.Step, failure.Message);
        }
        catch (RestProblemException failure)
        {
            return Failed("api", failure.Message);
        }
        catch (LabException failure)
        {
            return Failed("lab", $"{failure.Problem} {failure.Remedy}");
        }
    }

    private static async Task<DemoVm> DemoAsync(DemoStack stack, CancellationToken cancellation)
    {
        var (_, host) = await stack.BootHostAsync(new LabHostOptions { Name = HostName }, cancellation);
        Say("Creating VFs and the demo VM ...");
        await DemoVm.EnsureVfsAsync(stack.Rest, host, 2, cancellation);
        return await DemoVm.EnsureAsync(stack.Rest, host, new DemoVmOptions(), cancellation);
    }

    private static async Task<(DemoVm Vm, EliShow Show)> EliAsync(DemoStack stack, CancellationToken cancellation)
    {
        var (host, id) = await stack.BootHostAsync(EliShow.Host, cancellation);
        Say("Creating VFs and the demo VM with direct interrupts ...");
        await DemoVm.EnsureVfsAsync(stack.Rest, id, 2, cancellation);
        var vm = await DemoVm.EnsureAsync(stack.Rest, id, EliShow.Vm, cancellation);
        return (vm, new EliShow(vm, host, Say));
    }

    private int Failed(string step, string reason)
    {
        Say($"Failed at {step}: {reason}");
        if (options.Check)
            Console.WriteLine(Check.Failure(step, reason).ToJson());
        return 1;
    }

    private static void ShowAddress(ControlPlaneServer server)
    {
        Say("");
        Say($"  address   {server.Address}");
        Say("  user      admin");
        Say(server.FirstPassword is { } password
            ? $"  password  {password}   (shown this once)"
            : "  password  as it was set at the first start; 'reset-password' makes a new one");
        Say("");
    }

    private static string[] SriovDevices() =>
        Directory.Exists("/sys/bus/pci/devices")
            ? [.. Directory.GetDirectories("/sys/bus/pci/devices").Where(device => File.Exists(Path.Combine(device, "sriov_totalvfs"))).Select(device => Path.GetFileName(device))]
            : [];

    // The script measures from its own start, so that building counts too.
    private DateTimeOffset StartedAt() =>
        long.TryParse(Environment.GetEnvironmentVariable("EXITLESS_STARTED_AT"), NumberStyles.None, CultureInfo.InvariantCulture, out var seconds)
            ? DateTimeOffset.FromUnixTimeSeconds(seconds)
            : time.GetUtcNow();
}
