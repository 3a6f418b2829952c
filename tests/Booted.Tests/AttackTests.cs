using System.Text.Json;

namespace Exitless.Booted.Tests;

/// <summary>A guest that attacks its host through direct interrupts (tests/Eli/attack): the host keeps its ticks and its cross-calls, and the VM loses at most itself.</summary>
[Collection(EliHostCollection.Name)]
[Trait("Category", "Lab")]
public sealed class AttackTests(EliHost host)
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(3);
    public static TheoryData<string> Attacks => [.. Attack.Names];

    [Theory]
    [MemberData(nameof(Attacks))]
    public async Task The_host_keeps_its_interrupts_and_its_CPU(string attack)
    {
        Assert.SkipUnless(Nightly.IsOn, "Fifteen attacks take a quarter of an hour; EXITLESS_NIGHTLY=1 runs them.");
        var vf = (await host.VfsAsync(1))[0];
        await using var vm = await host.BootAsync(EliHost.Guest(vf, ""));
        await vm.WaitUntilReadyAsync();
        await vm.OrderAsync("until report ping | grep -q 'received=[1-9]'; do sleep 1; done; echo flows=$((40+2))", "flows=42");

        var control = await WatchAsync(vm, "spin");
        var before = await vm.StatisticsAsync();
        Assert.True(Count(before, "eli_direct_entries") > 0, "The VM was not in direct mode, so nothing was attacked.");
        var during = await WatchAsync(vm, attack);
        var ended = await host.RunAsync($"[ ! -e {vm.Folder}/code ] || echo ended") == "ended";
        TestContext.Current.TestOutputHelper?.WriteLine(ended ? "The VM ended." : Differences(before, await vm.StatisticsAsync()));

        Assert.True(during.Share >= 0.95 * control.Share, $"CPU 1 ticked {during.Share:P1} as often as CPU 0, and {control.Share:P1} without the attack.");
        Assert.True(during.Calls > 0 && during.SlowestMs < 2000, $"{during.Calls} cross-calls, the slowest took {during.SlowestMs} ms.");
        Assert.Equal("", await host.WarningsAsync());
        Assert.True(!ended || Attack.Fatal.Contains(attack), $"The VM ended. {await vm.TailAsync()}");
        if (!ended)
            await vm.OrderAsync("echo still=$((40+2))", "still=42");
    }

    private async Task<HostTicks> WatchAsync(BootedVm vm, string what)
    {
        await vm.TypeAsync($"{Attack.Order(what)}; echo attacked=$((40+2))");
        var ticks = HostTicks.Parse(await host.RunAsync(HostTicks.Script, Limit));
        await host.RunAsync($"until tail -n 3 {vm.Folder}/console | grep -aq attacked=42 || [ -e {vm.Folder}/code ]; do sleep 0.3; done", Limit);
        TestContext.Current.TestOutputHelper?.WriteLine($"{what}: {ticks}; {await host.RunAsync($"grep -a '^rounds=' {vm.Folder}/console | tail -n 1 | tr -d '\r'")}");
        return ticks;
    }

    private static long Count(JsonElement statistics, string name) =>
        statistics.GetProperty("vcpus").EnumerateArray().First().EnumerateObject().Where(p => p.Name == name).Select(p => p.Value.GetInt64()).FirstOrDefault();

    private static string Differences(JsonElement before, JsonElement after) => string.Join(' ',
        after.GetProperty("vcpus").EnumerateArray().First().EnumerateObject().Where(p => p.Name.StartsWith("eli_", StringComparison.Ordinal))
            .Select(p => $"{p.Name}={p.Value.GetInt64() - Count(before, p.Name)}"));
}
