using System.Globalization;
using System.Text.Json;
using Exitless.Lab;
using Exitless.Run.Stack;

namespace Exitless.Run;

/// <summary>What was counted while the switch stood in one position.</summary>
/// <param name="Exits">VM exits, from KVM.</param>
/// <param name="Interrupts">Device interrupts, from the guest.</param>
/// <param name="SeenByHost">Those that a CPU of the host took.</param>
/// <param name="PacketsSent">Pings that the host's PF sent to the guest's VF.</param>
/// <param name="PacketsLost">Those that were not answered.</param>
internal sealed record EliWindow(long Exits, long Interrupts, long SeenByHost, long PacketsSent, long PacketsLost)
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
/// <param name="Failed">The step that failed; null: none.</param>
/// <param name="Reason">Why, in words.</param>
internal sealed record EliVerdict(bool Ok, EliWindow Injected, EliWindow Direct, string? Failed, string? Reason);

/// <summary>Throws the switch between ELI and injection while the demo VM answers pings, and counts what each costs.</summary>
internal sealed class EliShow(DemoVm vm, LabHost host, Action<string> say)
{
    /// <summary>The lab host for it: CPU 1 is the VM's, with as few ticks of the host as there can be (docs/eli.md).</summary>
    public static LabHostOptions Host { get; } = new() { Name = "lab-eli", Eli = true, Cpus = 2, KernelArguments = "nohz_full=1 isolcpus=managed_irq,domain,1 rcu_nocbs=1" };

    /// <summary>The VM for it. It answers and does nothing of its own: its console, its timers and its reporter would cost exits that no interrupt of a device causes.</summary>
    public static DemoVmOptions Vm { get; } = new() { Name = "demo-eli", Rate = 0, Interrupts = "eli", GuestCounts = false, Arguments = "mitigations=off tsc=reliable exitless.interval=0" };

    private const string Injected = "injected", Best = "best";
    private const long DirectGrade = 5;   // src/Agent/Grading/VectorGrade.cs
    private const int MostSeenPercent = 12;
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(4);
    private static readonly JsonSerializerOptions Format = new(JsonSerializerDefaults.Web);

    // Exits of the only VM of this host, and its VF's interrupts as the host counts them, before and after 20 s of pings from the CPU that is not the VM's.
    private const string Load = """
        ip addr add 10.0.3.1/24 dev eth1 2>/dev/null; ip link set eth1 up
        taskset 1 ping -q -c 2 -w 10 10.0.3.20 >/dev/null || { echo 'the guest does not answer' >&2; exit 1; }
        count() {
          cat /sys/kernel/debug/kvm/[0-9]*-[0-9]*/exits | awk '{ n += $1 } END { print n + 0 }'
          awk '/vfio-msix/ { for (i = 2; $i ~ /^[0-9]+$/; i++) n += $i } END { print n + 0 }' /proc/interrupts
        }
        count
        taskset 1 ping -q -i 0.02 -c 1000 10.0.3.20 | awk '/packets transmitted/ { print $1; print $4 }' >/tmp/eli-load
        count
        cat /tmp/eli-load
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
        var reason = injected.PacketsLost + direct.PacketsLost > 0 ? $"{injected.PacketsLost + direct.PacketsLost} of {injected.PacketsSent + direct.PacketsSent} packets got no answer"
            : direct.SeenByHost * 100 > direct.Interrupts * MostSeenPercent ? $"the host saw {direct.SeenByHost} of {direct.Interrupts} device interrupts by ELI"
            : direct.ExitsPerInterrupt is not { } cheap || injected.ExitsPerInterrupt is not { } dear || cheap > dear / 2 ? "by ELI a device interrupt costs more than half of the exits"
            : null;
        return new EliVerdict(reason is null, injected, direct, reason is null ? null : "eli", reason);
    }

    public static string Json(EliVerdict verdict) => JsonSerializer.Serialize(verdict, Format);

    private async Task<ConsoleReader> ReadyAsync(CancellationToken cancellation)
    {
        var console = await vm.ConsoleAsync(cancellation);
        await console.UntilAsync(line => GuestReport.Parse(line) is { Word: "ready" }, Limit, cancellation);
        // The guest kernel's own housekeeping, once a second by default.
        await console.TypeAsync("echo 1000 >/proc/sys/vm/stat_interval; echo 0 >/proc/sys/vm/compaction_proactiveness", cancellation);
        return console;
    }

    // The guest's reports are outside of what is counted, since its console costs exits.
    private async Task<EliWindow> PositionAsync(ConsoleReader console, string path, CancellationToken cancellation)
    {
        await vm.SwitchInterruptsAsync(path, cancellation);
        var before = await InterruptsAsync(console, cancellation);
        var answer = await host.ShellAsync(Load, Limit, cancellation);
        var words = answer.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        if (answer.ExitCode != 0 || words is not [var exits, var seen, var exitsAfter, var seenAfter, var sent, var received])
            throw new RunFailedException("eli", $"the host's counters could not be read: {answer.Output} {answer.Errors}");
        return new EliWindow(Risen(exits, exitsAfter), await InterruptsAsync(console, cancellation) - before, Risen(seen, seenAfter), Risen("0", sent), Risen(received, sent));
    }

    private static long Risen(string before, string after) => long.Parse(after, CultureInfo.InvariantCulture) - long.Parse(before, CultureInfo.InvariantCulture);

    private static async Task<long> InterruptsAsync(ConsoleReader console, CancellationToken cancellation)
    {
        var start = console.Text.Length;
        await console.TypeAsync("report irq", cancellation);
        var line = await console.UntilAsync(one => GuestReport.Parse(one) is { Word: "irq" }, Limit, cancellation, start);
        return GuestReport.Parse(line)!.Values.Where(vector => vector.Key.StartsWith("eth", StringComparison.Ordinal)).Sum(vector => vector.Value);
    }
}
