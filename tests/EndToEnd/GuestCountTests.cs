using Exitless.Run.Stack;

namespace Exitless.EndToEnd;

/// <summary>What the reporter in the guest counts is what the host sees, where the host sees all; and a reporter that has gone is not believed for long.</summary>
[Collection(DemoFixture.OneAfterAnother)]
public sealed class GuestCountTests(DemoFixture demo)
{
    // Some may have merged before the guest had set up the NIC.
    private const long Merged = 5;
    private const long LeastTraffic = 100;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(120);

    private string Guest => $"guest.{demo.Vm.Vf}.msix.";

    private string Host => $"vfio.{demo.Vm.Vf}.msix.";

    [Fact]
    public async Task The_guest_counts_what_the_host_counts_and_its_word_grows_old()
    {
        await demo.StartPingAsync();
        await ReportsAsync("fresh reports", counts => counts.GetValueOrDefault("guest.age_ms", -1) is >= 0 and < 3000);
        var before = (await CountsAsync()).GetValueOrDefault(Guest + "1");
        await ReportsAsync("traffic that the guest counts", counts => counts.GetValueOrDefault(Guest + "1") >= before + LeastTraffic);
        await demo.StopPingAsync();
        // Rows are stored each ten seconds, and a report may be a second old: once it is quiet, both tell of the same.
        IReadOnlyDictionary<string, long> last = new Dictionary<string, long>();
        await ReportsAsync("counts that agree", counts =>
        {
            last = counts;
            var vectors = counts.Keys.Where(key => key.StartsWith(Host, StringComparison.Ordinal)).ToList();
            return vectors.Count == 3 && vectors.All(vector => counts.TryGetValue(vector.Replace("vfio.", "guest."), out var guest) && Math.Abs(guest - counts[vector]) <= Merged);
        });
        TestContext.Current.TestOutputHelper?.WriteLine(string.Join(", ", last.Where(one => !one.Key.EndsWith("ms")).Select(one => $"{one.Key}={one.Value}")));
        Assert.Equal(0, last["grade.from_guest"]);   // this host sees all

        await demo.Console.TypeAsync("kill $(pidof exitless-guest-reporter)", TestContext.Current.CancellationToken);
        await ReportsAsync("a word that is old", counts => counts["guest.age_ms"] >= 3000);
        var reports = (await CountsAsync())["guest.reports"];
        await demo.Console.TypeAsync("setsid exitless-guest-reporter </dev/null >/dev/null 2>/run/reporter &", TestContext.Current.CancellationToken);
        await ReportsAsync("reports again", counts => counts["guest.age_ms"] < 3000 && counts["guest.reports"] > reports);
    }

    private Task ReportsAsync(string what, Func<IReadOnlyDictionary<string, long>, bool> holds) =>
        Eventually.HoldsAsync(what, Limit, async () => holds(await CountsAsync()), TestContext.Current.CancellationToken);

    private async Task<IReadOnlyDictionary<string, long>> CountsAsync()
    {
        var counts = new Dictionary<string, long>(StringComparer.Ordinal);
        foreach (var pattern in (string[])["vfio.*", "guest.*", "grade.*"])
        {
            try
            {
                foreach (var (key, value) in await demo.Vm.NewestAsync(pattern, TestContext.Current.CancellationToken))
                    counts[key] = value;
            }
            catch (RestProblemException e) when (e.Code == "series-unknown")
            {
                // A VM that has just started: no row of it is stored yet.
            }
        }
        return counts;
    }
}
