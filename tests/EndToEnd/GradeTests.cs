using System.Globalization;
using Exitless.Run.Stack;

namespace Exitless.EndToEnd;

/// <summary>What the agent says of a VM's interrupts is what the kernel says of them, asked apart from the product.</summary>
[Collection(DemoFixture.OneAfterAnother)]
public sealed class GradeTests(DemoFixture demo)
{
    // src/Agent/Grading/VectorGrade.cs
    private const long Injected = 1, Woken = 2;
    // igbvf requests its vectors in the order eth0-tx-0, eth0-rx-0, eth0.
    private const string ReceiveVector = "msix.1";
    private const int TracedSeconds = 45;
    // The ratio in a row is that of the ten seconds before it.
    private const int RatioSeconds = 10;

    [Fact]
    public async Task A_guest_that_halts_is_woken_one_that_polls_exits_and_the_ratio_is_the_kernels_own()
    {
        await demo.StartPingAsync();
        await GradedAsync(Woken);

        // As long as something runs, the vCPU never halts, and each interrupt makes it exit.
        await demo.Console.TypeAsync("sh -c 'while :; do :; done' & echo $! >/run/busy", TestContext.Current.CancellationToken);
        try
        {
            await GradedAsync(Injected);
            var trace = await TraceAsync();
            // A row tells of the ten seconds before it; compared are rows whose ten seconds were all traced.
            IReadOnlyList<(double Time, double Value)> rows = [];
            await Eventually.HoldsAsync("the rows of the traced time", TimeSpan.FromSeconds(60), async () => (rows = await RatiosAsync(trace[0].Time + RatioSeconds, trace[^1].Time)).Count >= 3, TestContext.Current.CancellationToken);
            var told = rows.Average(row => row.Value);
            var traced = rows.Average(row => Traced(trace, row.Time - RatioSeconds, row.Time));
            TestContext.Current.TestOutputHelper?.WriteLine($"exits per interrupt: told {told:0.0}, traced {traced:0.0}");
            Assert.InRange(told, traced * 0.9, traced * 1.1);
        }
        finally
        {
            await demo.Console.TypeAsync("kill $(cat /run/busy)", TestContext.Current.CancellationToken);
        }
        await GradedAsync(Woken);
    }

    // Counts kvm_exit in the kernel itself, and notes both counts once a second. The only VM of this host is the demo VM.
    private async Task<List<(double Time, double Exits, double Interrupts)>> TraceAsync()
    {
        var answer = await demo.InHostAsync($$"""
            cd /sys/kernel/tracing/events/kvm/kvm_exit
            count() { awk '/vfio-msix\[[0-9]+\]\({{demo.Vm.Vf}}\)/ { for (i = 2; $i ~ /^[0-9]+$/; i++) n += $i } END { print n + 0 }' /proc/interrupts; }
            echo 'hist:keys=exit_reason' >trigger
            for second in $(seq {{TracedSeconds}}); do
              echo "$EPOCHREALTIME $(awk '/Hits:/ { print $2 }' hist) $(count)"
              sleep 1
            done
            echo '!hist:keys=exit_reason' >trigger
            """);
        var notes = answer.Split('\n').Select(line => line.Split(' ').Select(word => double.Parse(word, CultureInfo.InvariantCulture)).ToArray()).Select(words => (words[0], words[1], words[2])).ToList();
        Assert.True(notes[^1].Item3 - notes[0].Item3 > 100, $"too few interrupts to compare: {answer}");
        return notes;
    }

    private static double Traced(List<(double Time, double Exits, double Interrupts)> trace, double from, double to)
    {
        var (first, last) = (trace.MinBy(note => Math.Abs(note.Time - from)), trace.MinBy(note => Math.Abs(note.Time - to)));
        return (last.Exits - first.Exits) / (last.Interrupts - first.Interrupts);
    }

    private Task GradedAsync(long wanted) => Eventually.HoldsAsync($"grade {wanted} of the receive vector", TimeSpan.FromSeconds(90), async () =>
    {
        var newest = await demo.Vm.NewestAsync("grade.*", TestContext.Current.CancellationToken);
        return newest.GetValueOrDefault($"grade.{demo.Vm.Vf}.{ReceiveVector}", -1) == wanted;
    }, TestContext.Current.CancellationToken);

    private async Task<List<(double Time, double Value)>> RatiosAsync(double from, double to) =>
        [.. (await demo.Vm.RowsAsync("grade.exits_per_1000_interrupts", TestContext.Current.CancellationToken)).Where(row => row.Time > from && row.Time <= to && row.Value >= 0).Select(row => (row.Time, row.Value / 1000))];
}
