using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Exitless.Booted.Tests;

/// <summary>A guest that attacks its host through direct interrupts (tests/Eli/attack): the host keeps its ticks and its cross-calls, and the VM loses at most itself.</summary>
[Trait("Category", "Lab")]
public sealed class AttackTests(EliHost host) : IClassFixture<EliHost>
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(3);
    private static readonly string[] Fatal = ["lidt-garbage-open", "shadow-unmap"];

    // An attack's first quarter of a second is the host's loss, before it is noticed.
    private const int Seconds = 10;

    [Theory]
    [InlineData("if0"), InlineData("if0-pulse"), InlineData("if0-halt"), InlineData("cr8"), InlineData("noeoi"), InlineData("eoistorm")]
    [InlineData("lidt-garbage"), InlineData("lidt-garbage-open"), InlineData("lidt-copy"), InlineData("idt-alias"), InlineData("intn")]
    [InlineData("shadow-unmap"), InlineData("shadow-remap"), InlineData("shadow-flip"), InlineData("msix-storm")]
    public async Task The_host_keeps_its_interrupts_and_its_CPU(string attack)
    {
        Assert.SkipWhen(host.Missing is not null, host.Missing ?? "");
        var vf = (await host.VfsAsync(1))[0];
        await using var vm = await host.BootAsync(new JsonObject
        {
            ["memoryMib"] = 256,
            ["commandLine"] = "console=ttyS0 quiet mitigations=off tsc=reliable iomem=relaxed exitless.ip=10.0.3.20/24 exitless.gateway=10.0.3.2 exitless.ping=10.0.3.2 exitless.interval=0",
            ["vcpus"] = 1,
            ["vcpuCpus"] = new JsonArray(1),
            ["interrupts"] = new JsonObject { ["ownCpus"] = true, ["hidePvEoi"] = true, ["direct"] = "full" },
            ["devices"] = new JsonArray(new JsonObject { ["address"] = vf }),
        });
        await vm.WaitUntilReadyAsync();
        await vm.OrderAsync("until report ping | grep -q 'received=[1-9]'; do sleep 1; done; echo flows=$((40+2))", "flows=42");

        var control = await WatchAsync(vm, "spin");
        var before = await vm.StatisticsAsync();
        Assert.True(Count(before, "eli_direct_entries") > 0, "The VM was not in direct mode, so nothing was attacked.");
        var during = await WatchAsync(vm, attack);
        var ended = await host.RunAsync($"[ ! -e {vm.Folder}/code ] || echo ended") == "ended";
        TestContext.Current.TestOutputHelper?.WriteLine($"control {control}; {attack} {during}; VM {(ended ? "ended by itself" : "alive")}; {(ended ? "" : Differences(before, await vm.StatisticsAsync()))}");

        Assert.True(during.Ticks >= 0.95 * control.Ticks, $"CPU 1 ticked {during.Ticks:F1} times a second, and {control.Ticks:F1} without the attack.");
        Assert.True(during.Calls > 0 && during.SlowestMs < 2000, $"{during.Calls} cross-calls, the slowest took {during.SlowestMs} ms.");
        Assert.Equal("", await host.RunAsync("dmesg | grep -E 'rcu: INFO|WARNING:|BUG:|lockup|Call Trace|nobody cared|No irq handler' || true"));
        Assert.True(!ended || Fatal.Contains(attack), $"The VM ended. {await vm.TailAsync()}");
        if (!ended)
            await vm.OrderAsync("echo still=$((40+2))", "still=42");
    }

    // Ticks are counted by their own handler: the local timer also comes for the guest's timers, of which an attacker sets fewer. Switching scheduler
    // statistics patches the kernel's text, which calls every CPU and waits for it.
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
            grep -E 'tick_nohz_handler.*common_cpu: +1 ' $event/hist | sed 's/.*hitcount: *//'
            echo '!hist:keys=function.sym,common_cpu' >$event/trigger; rmdir $instance
            echo $((end - start)); echo $calls; echo $((slowest * 10))
            """, Limit)).Split('\n').Select(n => double.Parse(n, CultureInfo.InvariantCulture)).ToArray();
        await host.RunAsync($"until tail -n 3 {vm.Folder}/console | grep -aq attacked=42 || [ -e {vm.Folder}/code ]; do sleep 0.3; done", Limit);
        var told = await host.RunAsync($"grep -a '^rounds=' {vm.Folder}/console | tail -n 1 | tr -d '\\r'");
        return new Watched(numbers[0] * 100 / numbers[1], (int)numbers[2], (int)numbers[3], told);
    }

    private static long Count(JsonElement statistics, string name) =>
        statistics.GetProperty("vcpus").EnumerateArray().First().EnumerateObject().Where(p => p.Name == name).Select(p => p.Value.GetInt64()).FirstOrDefault();

    private static string Differences(JsonElement before, JsonElement after) => string.Join(' ',
        after.GetProperty("vcpus").EnumerateArray().First().EnumerateObject().Where(p => p.Name.StartsWith("eli_", StringComparison.Ordinal))
            .Select(p => $"{p.Name}={p.Value.GetInt64() - Count(before, p.Name)}"));

    private sealed record Watched(double Ticks, int Calls, int SlowestMs, string Told)
    {
        public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Ticks:F1} ticks/s, {Calls} cross-calls, slowest {SlowestMs} ms, {Told}");
    }
}
