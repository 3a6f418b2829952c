using System.Globalization;
using System.Text.Json;

namespace Exitless.Booted.Tests;

/// <summary>A guest that attacks its host through direct interrupts (tests/Eli/attack): the host keeps its ticks and its cross-calls, and the VM loses at most itself.</summary>
[Collection(EliHostCollection.Name)]
[Trait("Category", "Lab")]
public sealed class AttackTests(EliHost host)
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(3);
    private static readonly string[] Fatal = ["lidt-garbage-open", "shadow-unmap"];

    // An attack's first third of a second is the host's loss, before it is noticed.
    private const int Seconds = 15;

    [Theory]
    [InlineData("if0"), InlineData("if0-pulse"), InlineData("if0-halt"), InlineData("cr8"), InlineData("noeoi"), InlineData("eoistorm")]
    [InlineData("lidt-garbage"), InlineData("lidt-garbage-open"), InlineData("lidt-copy"), InlineData("idt-alias"), InlineData("intn")]
    [InlineData("shadow-unmap"), InlineData("shadow-remap"), InlineData("shadow-flip"), InlineData("msix-storm")]
    public async Task The_host_keeps_its_interrupts_and_its_CPU(string attack)
    {
        Assert.SkipUnless(EliHost.Nightly, "Fifteen attacks take a quarter of an hour; EXITLESS_NIGHTLY=1 runs them.");
        var vf = (await host.VfsAsync(1))[0];
        await using var vm = await host.BootAsync(EliHost.Guest(vf, ""));
        await vm.WaitUntilReadyAsync();
        await vm.OrderAsync("until report ping | grep -q 'received=[1-9]'; do sleep 1; done; echo flows=$((40+2))", "flows=42");

        var control = await WatchAsync(vm, "spin");
        var before = await vm.StatisticsAsync();
        Assert.True(Count(before, "eli_direct_entries") > 0, "The VM was not in direct mode, so nothing was attacked.");
        var during = await WatchAsync(vm, attack);
        var ended = await host.RunAsync($"[ ! -e {vm.Folder}/code ] || echo ended") == "ended";
        TestContext.Current.TestOutputHelper?.WriteLine($"control {control}; {attack} {during}; VM {(ended ? "ended by itself" : "alive")}; {(ended ? "" : Differences(before, await vm.StatisticsAsync()))}");

        Assert.True(during.Share >= 0.95 * control.Share, $"CPU 1 ticked {during.Share:P1} as often as CPU 0, and {control.Share:P1} without the attack.");
        Assert.True(during.Calls > 0 && during.SlowestMs < 2000, $"{during.Calls} cross-calls, the slowest took {during.SlowestMs} ms.");
        Assert.Equal("", await host.WarningsAsync());
        Assert.True(!ended || Fatal.Contains(attack), $"The VM ended. {await vm.TailAsync()}");
        if (!ended)
            await vm.OrderAsync("echo still=$((40+2))", "still=42");
    }

    // Ticks are counted by their own handler: the local timer also comes for the guest's timers, of which an attacker sets fewer. CPU 0, which ticks as often and
    // is attacked by nobody, is the control within the run: an emulator that stands still for want of a processor costs both their ticks. Switching
    // scheduler statistics patches the kernel's text, which calls every CPU and waits for it.
    private async Task<Watched> WatchAsync(BootedVm vm, string what)
    {
        await vm.TypeAsync($"insmod {EliHost.Attacker} what={what} seconds={Seconds}; echo rounds=$(cat /sys/module/attack/parameters/rounds) eaten=$(cat /sys/module/attack/parameters/eaten); rmmod attack; echo attacked=$((40+2))");
        var numbers = (await host.RunAsync($$"""
            instance=/sys/kernel/tracing/instances/ticks; mkdir -p $instance
            event=$instance/events/timer/hrtimer_expire_entry
            echo 'hist:keys=function.sym,common_cpu' >$event/trigger
            up() { cut -d ' ' -f 1 /proc/uptime | tr -d .; }
            start=$(up); calls=0; slowest=0
            while [ $(up) -lt $((start + {{Seconds}} * 100)) ]; do
              from=$(up); echo $((calls % 2)) >/proc/sys/kernel/sched_schedstats; took=$(($(up) - from))
              calls=$((calls + 1)); [ $took -le $slowest ] || slowest=$took
              sleep 0.2
            done
            end=$(up)
            for cpu in 0 1; do grep -E "tick_nohz_handler.*common_cpu: +$cpu " $event/hist | sed 's/.*hitcount: *//'; done
            echo '!hist:keys=function.sym,common_cpu' >$event/trigger; rmdir $instance
            echo $((end - start)); echo $calls; echo $((slowest * 10))
            """, Limit)).Split('\n').Select(n => double.Parse(n, CultureInfo.InvariantCulture)).ToArray();
        await host.RunAsync($"until tail -n 3 {vm.Folder}/console | grep -aq attacked=42 || [ -e {vm.Folder}/code ]; do sleep 0.3; done", Limit);
        var told = await host.RunAsync($"grep -a '^rounds=' {vm.Folder}/console | tail -n 1 | tr -d '\\r'");
        return new Watched(numbers[0] * 100 / numbers[2], numbers[1] * 100 / numbers[2], (int)numbers[3], (int)numbers[4], told);
    }

    private static long Count(JsonElement statistics, string name) =>
        statistics.GetProperty("vcpus").EnumerateArray().First().EnumerateObject().Where(p => p.Name == name).Select(p => p.Value.GetInt64()).FirstOrDefault();

    private static string Differences(JsonElement before, JsonElement after) => string.Join(' ',
        after.GetProperty("vcpus").EnumerateArray().First().EnumerateObject().Where(p => p.Name.StartsWith("eli_", StringComparison.Ordinal))
            .Select(p => $"{p.Name}={p.Value.GetInt64() - Count(before, p.Name)}"));

    private sealed record Watched(double WatchingTicks, double Ticks, int Calls, int SlowestMs, string Told)
    {
        public double Share => Ticks / WatchingTicks;

        public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Share:P1} of CPU 0's ticks ({Ticks:F1} and {WatchingTicks:F1} a second), {Calls} cross-calls, slowest {SlowestMs} ms, {Told}");
    }
}
