using System.Text.Json;
using Exitless.Run.Stack;

namespace Exitless.EndToEnd;

/// <summary>Neither the agent's death nor the control plane's reaches the guest.</summary>
[Collection(DemoFixture.OneAfterAnother)]
public sealed class SurvivalTests(DemoFixture demo)
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_killed_agent_costs_no_packet_and_adopts_the_VM_within_5_s()
    {
        await demo.StopPingAsync();
        await demo.StartPingAsync();
        var process = (await demo.RunningAsync()).GetProperty("processId").GetInt32();
        var before = await demo.ReportAsync("report ping", (report, _) => report.Word == "ping");

        var killed = long.Parse(await demo.InHostAsync("date +%s%3N 2>/dev/null | grep -E '^[0-9]+$' || date +%s000; kill -9 $(cat /run/lab/agent.pid)"));
        JsonElement adopted = default;
        await Eventually.HoldsAsync("the VM adopted", TimeSpan.FromSeconds(60), async () =>
        {
            var events = await demo.Rest.GetAsync($"api/v1/events?vmId={demo.Vm.Id}", Cancellation);
            adopted = events.EnumerateArray().FirstOrDefault(one =>
                one.GetProperty("kind").GetString() == "vm-adopted" && one.GetProperty("time").GetDateTimeOffset().ToUnixTimeMilliseconds() >= killed);
            return adopted.ValueKind == JsonValueKind.Object;
        }, Cancellation);
        var seconds = (adopted.GetProperty("time").GetDateTimeOffset().ToUnixTimeMilliseconds() - killed) / 1000.0;
        // The control: what starting any program costs on this emulated host.
        var control = await demo.InHostAsync("time -p /usr/bin/exitless-agent --version 2>&1 >/dev/null | grep real");
        TestContext.Current.TestOutputHelper?.WriteLine($"adopted after {seconds:0.0} s; starting the program alone: {control}");
        Assert.InRange(seconds, 0, 5);

        // Traffic goes on after the adoption, under the same process, and nothing is missing.
        await demo.ReportAsync("report ping", (report, _) => report.Word == "ping" && report.Values["received"] > before.Values["received"] + 20);
        var after = await demo.StopPingAsync();
        Assert.Equal(0, after.Values["lost"]);
        Assert.Equal(process, (await demo.RunningAsync()).GetProperty("processId").GetInt32());
        await demo.StartPingAsync();
    }

    [Fact]
    public async Task A_killed_control_plane_is_not_noticed_and_its_gap_in_the_metrics_is_filled()
    {
        await demo.StopPingAsync();
        await demo.StartPingAsync();
        var process = (await demo.RunningAsync()).GetProperty("processId").GetInt32();
        await demo.Stack.Server.KillAsync();
        var from = long.Parse(await demo.InHostAsync("date +%s")) * 1000;
        // Long enough for the agent to make rows that nobody takes.
        await demo.InHostAsync("sleep 25");
        var to = long.Parse(await demo.InHostAsync("date +%s")) * 1000;
        await demo.Stack.RestartControlPlaneAsync(Cancellation);

        await Eventually.HoldsAsync("rows of the gap", TimeSpan.FromSeconds(90), async () =>
        {
            var rows = await demo.Rest.GetAsync($"api/v1/vms/{demo.Vm.Id}/metrics?series=kvm.vcpu.0.exits", Cancellation);
            return rows.GetProperty("times").EnumerateArray().Count(time => time.GetInt64() > from && time.GetInt64() < to) >= 2;
        }, Cancellation);
        var series = await demo.Rest.GetAsync($"api/v1/vms/{demo.Vm.Id}/metrics?series=kvm.vcpu.0.exits", Cancellation);
        var times = series.GetProperty("times").EnumerateArray().Select(time => time.GetInt64()).ToArray();
        Assert.All(times.Zip(times.Skip(1)), pair => Assert.InRange(pair.Second - pair.First, 1, 15_000));

        await demo.ReattachConsoleAsync();
        var after = await demo.StopPingAsync();
        Assert.Equal(0, after.Values["lost"]);
        Assert.Equal(process, (await demo.RunningAsync()).GetProperty("processId").GetInt32());
        await demo.StartPingAsync();
    }
}
