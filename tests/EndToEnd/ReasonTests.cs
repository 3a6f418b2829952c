using Exitless.Run.Stack;
using Microsoft.AspNetCore.SignalR.Client;

namespace Exitless.EndToEnd;

/// <summary>While somebody looks at a VM, its exits are told by their true reason; KVM's own statistics, which know some of the reasons, are the yardstick.</summary>
[Collection(DemoFixture.OneAfterAnother)]
public sealed class ReasonTests(DemoFixture demo)
{
    private const int ComparedSeconds = 40;
    private const string Exits = "kvm.vcpu.0.exits", Traced = "exit.vcpu.0.";

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Exits_are_told_by_reason_while_somebody_looks_and_by_nobody_else()
    {
        await demo.StartPingAsync();
        Assert.Equal("", await InstancesAsync());
        await using (var hub = await LiveConnection.OpenAsync(demo.Rest, Cancellation))
        {
            using var looking = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
            var frames = LookAsync(hub, looking.Token);
            await Eventually.HoldsAsync("the first stored row with reasons", TimeSpan.FromSeconds(90), async () => (await SeriesAsync()).Contains(Traced + "halt"), Cancellation);
            Assert.Equal($"exitless-{await AgentAsync()}", await InstancesAsync());
            var from = await ClockAsync();
            await demo.InHostAsync($"sleep {ComparedSeconds}");
            await CompareAsync(from);

            // A killed agent leaves its instance behind; the next takes it away.
            var killed = await AgentAsync();
            await demo.InHostAsync($"kill -9 {killed}");
            await Eventually.HoldsAsync("another agent counts, and nothing is left of the one before", TimeSpan.FromSeconds(90), async () =>
                await AgentAsync() is var next && next != killed && await InstancesAsync() == $"exitless-{next}", Cancellation);
            await looking.CancelAsync();
            await frames;
        }
        await Eventually.HoldsAsync("the triggers are gone", TimeSpan.FromSeconds(60), async () => await InstancesAsync() == "", Cancellation);
        await demo.RunningAsync();
    }

    // Rows hold both counts as of one second, so what came between the first and the last is compared.
    private async Task CompareAsync(double from)
    {
        List<string> keys = [.. await SeriesAsync()];
        async Task<long> RisenAsync(string key)
        {
            var rows = (await demo.Vm.RowsAsync(key, Cancellation)).Where(row => row.Time > from).ToList();
            Assert.True(rows.Count >= 3, $"{key} has {rows.Count} rows");
            return (long)(rows[^1].Value - rows[0].Value);
        }
        var byReason = new Dictionary<string, long>(StringComparer.Ordinal);
        foreach (var key in keys.Where(key => key.StartsWith(Traced, StringComparison.Ordinal)))
            byReason[key[Traced.Length..]] = await RisenAsync(key);
        var all = await RisenAsync(Exits);
        TestContext.Current.TestOutputHelper?.WriteLine($"exits {all}: {string.Join(", ", byReason.OrderByDescending(one => one.Value).Select(one => $"{one.Key} {one.Value}"))}");
        Assert.True(all > 500, $"too few exits to compare: {all}");
        var sum = byReason.Where(one => !one.Key.Contains('.', StringComparison.Ordinal)).Sum(one => one.Value);
        Assert.InRange(sum, (long)(all * 0.97), (long)(all * 1.03));
        foreach (var (reason, statistic) in (IEnumerable<(string, string)>)[("halt", "halt_exits"), ("external_interrupt", "irq_exits"), ("interrupt_window", "irq_window_exits")])
        {
            var counted = await RisenAsync($"kvm.vcpu.0.{statistic}");
            TestContext.Current.TestOutputHelper?.WriteLine($"{reason}: {byReason[reason]}, {statistic}: {counted}");
            Assert.InRange(byReason[reason], (long)(counted * 0.95) - 5, (long)(counted * 1.05) + 5);
        }
        // No statistic has these: they are what "other" hides.
        var named = byReason.Where(one => one.Key.StartsWith("msr_write.", StringComparison.Ordinal)).Sum(one => one.Value);
        Assert.InRange(named, 1, byReason["msr"] + 5);
        Assert.True(byReason["msr_write.tsc_deadline"] > 0);
    }

    private static async Task LookAsync(HubConnection hub, Guid vm, CancellationToken stop)
    {
        try
        {
            await foreach (var _ in hub.StreamAsync<byte[]>("WatchVm", vm, 5, stop))
            {
                // The rows are read from REST.
            }
        }
        catch (OperationCanceledException)
        {
            // Nobody looks any more.
        }
    }

    private Task LookAsync(HubConnection hub, CancellationToken stop) => LookAsync(hub, demo.Vm.Id, stop);

    private async Task<HashSet<string>> SeriesAsync() =>
        [.. (await demo.Rest.GetAsync($"api/v1/vms/{demo.Vm.Id}/series", Cancellation)).EnumerateArray().Select(series => series.GetProperty("key").GetString()!)];

    private Task<string> InstancesAsync() => demo.InHostAsync("ls /sys/kernel/tracing/instances");

    private Task<string> AgentAsync() => demo.InHostAsync("cat /run/lab/agent.pid");

    private async Task<double> ClockAsync() => double.Parse(await demo.InHostAsync("echo $EPOCHREALTIME"), System.Globalization.CultureInfo.InvariantCulture);
}
