using System.Globalization;
using System.Text.Json;
using Exitless.Lab;
using Exitless.Run.Stack;

namespace Exitless.Run;

/// <summary>What was counted while the switch stood in one position.</summary>
/// <param name="Exits">VM exits, from KVM.</param>
/// <param name="Interrupts">Device interrupts, from the guest.</param>
/// <param name="SeenByHost">Those that a CPU of the host took.</param>
internal sealed record EliWindow(long Exits, long Interrupts, long SeenByHost)
{
    /// <summary>All exits, of whatever cause, per device interrupt; null: no interrupt came.</summary>
    public double? ExitsPerInterrupt => Interrupts > 0 ? Math.Round((double)Exits / Interrupts, 3) : null;

    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"{Exits} exits, {Interrupts} device interrupts, of which the host saw {SeenByHost}: {ExitsPerInterrupt?.ToString("0.00", CultureInfo.InvariantCulture) ?? "no"} exits each");
}

/// <summary>What <c>./run --check --eli</c> finds out.</summary>
/// <param name="Ok">Direct interrupts cost at most half of the exits, the host saw at most 12 % of them, the agent graded them so, and no packet was lost.</param>
/// <param name="Injected">With the switch on injection.</param>
/// <param name="Direct">With the switch on the best path, which is ELI.</param>
/// <param name="PacketsSent">Pings that the guest sent, in both.</param>
/// <param name="PacketsLost">Those that were not answered.</param>
/// <param name="Failed">What did not hold; null: all of it does.</param>
internal sealed record EliVerdict(bool Ok, EliWindow? Injected, EliWindow? Direct, long? PacketsSent, long? PacketsLost, string? Failed, string? Reason);

/// <summary>Throws the switch between ELI and injection while the demo VM pings, and counts what each costs.</summary>
internal sealed class EliShow(DemoVm vm, LabHost host, TimeProvider time, Action<string> say)
{
    /// <summary>The lab host for it: CPU 1 is the VM's, with as few ticks of the host as there can be (docs/eli.md).</summary>
    public static LabHostOptions Host { get; } = new() { Name = "lab-eli", Eli = true, KernelArguments = "nohz_full=1 isolcpus=managed_irq,domain,1 rcu_nocbs=1" };

    /// <summary>The VM for it. Its console is quiet: each character is an exit.</summary>
    public static DemoVmOptions Vm { get; } = new() { Name = "demo-eli", Rate = 20, Interrupts = "eli", Arguments = "mitigations=off tsc=reliable exitless.interval=0" };

    private const string Injected = "injected", Best = "best";
    private const long DirectGrade = 5;   // src/Agent/Grading/VectorGrade.cs
    private const int MostSeenPercent = 12;
    private static readonly TimeSpan Position = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(4);
    private static readonly JsonSerializerOptions Format = new(JsonSerializerDefaults.Web);

    // Exits of the only VM of this host, and its VF's interrupts as the host counts them.
    private const string Counters = """
        cat /sys/kernel/debug/kvm/[0-9]*-[0-9]*/exits | awk '{ n += $1 } END { print n + 0 }'
        awk '/vfio-msix/ { for (i = 2; $i ~ /^[0-9]+$/; i++) n += $i } END { print n + 0 }' /proc/interrupts
        """;

    /// <summary>Throws the switch again and again, and says what each position cost.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        await using var console = await ReadyAsync(cancellation);
        while (true)
        {
            say($"ELI:       {await PositionAsync(console, Best, cancellation)}");
            say($"injection: {await PositionAsync(console, Injected, cancellation)}");
        }
    }

    /// <summary>One position after the other, once.</summary>
    public async Task<EliVerdict> CheckAsync(CancellationToken cancellation)
    {
        await using var console = await ReadyAsync(cancellation);
        var injected = await PositionAsync(console, Injected, cancellation);
        say($"injection: {injected}");
        var direct = await PositionAsync(console, Best, cancellation);
        say($"ELI:       {direct}");
        await Eventually.HoldsAsync("the grade 'direct' of the VF's receive vector", TimeSpan.FromSeconds(90), async () =>
            (await vm.NewestAsync("grade.*", cancellation)).GetValueOrDefault($"grade.{vm.Vf}.msix.1", -1) == DirectGrade, cancellation);
        var end = await ReportAsync(console, "stop-ping", "ping", line => line.Contains("state=stopped", StringComparison.Ordinal), cancellation);
        var reason = end["lost"] > 0 ? $"{end["lost"]} of {end["sent"]} packets got no answer"
            : direct.SeenByHost * 100 > direct.Interrupts * MostSeenPercent ? $"the host saw {direct.SeenByHost} of {direct.Interrupts} device interrupts by ELI"
            : direct.ExitsPerInterrupt is not { } cheap || injected.ExitsPerInterrupt is not { } dear || cheap > dear / 2 ? "by ELI a device interrupt costs more than half of the exits"
            : null;
        return new EliVerdict(reason is null, injected, direct, end["sent"], end["lost"], reason is null ? null : "eli", reason);
    }

    public static string Json(EliVerdict verdict) => JsonSerializer.Serialize(verdict, Format);

    private async Task<ConsoleReader> ReadyAsync(CancellationToken cancellation)
    {
        var console = await vm.ConsoleAsync(cancellation);
        await console.UntilAsync(line => GuestReport.Parse(line) is { Word: "ready" }, Limit, cancellation);
        await Eventually.HoldsAsync("the first answered ping", Limit, async () => (await ReportAsync(console, "report ping", "ping", _ => true, cancellation))["received"] > 0, cancellation);
        return console;
    }

    // The guest's reports are outside of what is counted, since its console costs exits.
    private async Task<EliWindow> PositionAsync(ConsoleReader console, string path, CancellationToken cancellation)
    {
        await vm.SwitchInterruptsAsync(path, cancellation);
        var guestBefore = await InterruptsAsync(console, cancellation);
        var before = await CountersAsync(cancellation);
        await Task.Delay(Position, time, cancellation);
        var after = await CountersAsync(cancellation);
        return new EliWindow(after.Exits - before.Exits, await InterruptsAsync(console, cancellation) - guestBefore, after.Host - before.Host);
    }

    private static async Task<long> InterruptsAsync(ConsoleReader console, CancellationToken cancellation) =>
        (await ReportAsync(console, "report irq", "irq", _ => true, cancellation)).Where(line => line.Key.StartsWith("eth", StringComparison.Ordinal)).Sum(line => line.Value);

    private static async Task<IReadOnlyDictionary<string, long>> ReportAsync(ConsoleReader console, string command, string word, Func<string, bool> wanted, CancellationToken cancellation)
    {
        var before = console.Text.Length;
        await console.TypeAsync(command, cancellation);
        return GuestReport.Parse(await console.UntilAsync(line => GuestReport.Parse(line) is { } report && report.Word == word && wanted(line), Limit, cancellation, before))!.Values;
    }

    private async Task<(long Exits, long Host)> CountersAsync(CancellationToken cancellation)
    {
        var answer = await host.ShellAsync(Counters, TimeSpan.FromMinutes(1), cancellation);
        if (answer.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries) is not [var exits, var seen] || answer.ExitCode != 0)
            throw new RunFailedException("eli", $"the host's counters could not be read: {answer.Output} {answer.Errors}");
        return (long.Parse(exits, CultureInfo.InvariantCulture), long.Parse(seen, CultureInfo.InvariantCulture));
    }
}
