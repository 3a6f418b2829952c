using System.Text.RegularExpressions;
using Exitless.Run.Stack;

namespace Exitless.EndToEnd;

/// <summary>An interrupt that the VF raised is one interrupt in the guest's count, in the host's, and in the REST metrics.</summary>
public sealed partial class InterruptTests(DemoFixture demo)
{
    // The order in which igbvf requests its vectors.
    private static readonly string[] GuestNames = ["eth0-tx-0", "eth0-rx-0", "eth0"];

    [Fact]
    public async Task Guest_host_and_metrics_count_the_same_interrupts()
    {
        var ping = await demo.StopPingAsync();
        Assert.True(ping.Values["received"] > 20, $"too little traffic to compare: {ping}");
        var quiet = DateTimeOffset.FromUnixTimeMilliseconds(long.Parse(await demo.InHostAsync("date +%s000")));
        var guest = await demo.ReportAsync("report irq", (report, _) => report.Word == "irq");
        var host = VfioLine().Matches(await demo.InHostAsync("cat /proc/interrupts"))
            .Where(match => match.Groups["bdf"].Value == demo.Vm.Vf)
            .ToDictionary(match => int.Parse(match.Groups["vector"].Value), match => Sum(match.Groups["counts"].Value));

        // Two samples after the last packet: rows are stored every 10 s.
        await Eventually.HoldsAsync("two samples after the traffic", TimeSpan.FromSeconds(60), async () =>
        {
            var rows = await demo.Rest.GetAsync($"api/v1/vms/{demo.Vm.Id}/metrics?series=vfio.*", TestContext.Current.CancellationToken);
            return rows.GetProperty("times").EnumerateArray().Count(time => time.GetInt64() > quiet.ToUnixTimeMilliseconds()) >= 2;
        }, TestContext.Current.CancellationToken);
        var rest = await demo.Vm.NewestAsync("vfio.*", TestContext.Current.CancellationToken);

        Assert.True(guest.Values[GuestNames[1]] > 0, "the guest counted no interrupt of eth0-rx-0");
        for (var vector = 0; vector < GuestNames.Length; vector++)
        {
            var counted = guest.Values.GetValueOrDefault(GuestNames[vector]);
            Assert.Equal(counted, host.GetValueOrDefault(vector));
            Assert.Equal(counted, rest.GetValueOrDefault($"vfio.{demo.Vm.Vf}.msix.{vector}"));
        }
        await demo.StartPingAsync();
    }

    private static long Sum(string counts) => counts.Split(' ', StringSplitOptions.RemoveEmptyEntries).Sum(long.Parse);

    [GeneratedRegex(@"^\s*\d+:(?<counts>(\s+\d+)+)\s.*vfio-msix\[(?<vector>\d+)\]\((?<bdf>[0-9a-f:.]+)\)", RegexOptions.Multiline)]
    private static partial Regex VfioLine();
}
