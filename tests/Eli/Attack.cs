using System.Diagnostics;
using System.Globalization;

namespace Exitless.Tests;

/// <summary>The attacks of the guest module in tests/Eli/attack, and what its host has to keep meanwhile. Compiled into the tests and the benchmarks.</summary>
internal static class Attack
{
    /// <summary>How long each lasts. Its first third of a second is the host's loss, before it is noticed.</summary>
    public const int Seconds = 15;

    /// <summary>Where the module is in the demo guest.</summary>
    public const string Module = "/lib/attack.ko";

    /// <summary>For a host whose CPU 1 is the attacked one, and whose CPUs tick always.</summary>
    public const string KernelArguments = "isolcpus=managed_irq,domain,1 nohz=off";

    public static readonly string[] Names =
    [
        "if0", "if0-pulse", "if0-halt", "cr8", "noeoi", "eoistorm", "lidt-garbage", "lidt-garbage-open", "lidt-copy", "idt-alias", "intn",
        "shadow-unmap", "shadow-remap", "shadow-flip", "msix-storm",
    ];

    /// <summary>Those that the attacker's own VM does not outlive.</summary>
    public static readonly string[] Fatal = ["lidt-garbage-open", "shadow-unmap"];

    /// <summary>What the guest's shell is told; <c>spin</c> is the control.</summary>
    public static string Order(string what) =>
        $"insmod {Module} what={what} seconds={Seconds}; echo rounds=$(cat /sys/module/attack/parameters/rounds) eaten=$(cat /sys/module/attack/parameters/eaten); rmmod attack";

    /// <summary>Builds the module.</summary>
    /// <param name="headers">What the guest kernel's modules are built against.</param>
    /// <param name="folder">For <c>attack.ko</c>.</param>
    /// <returns>The module's file.</returns>
    public static async Task<string> BuildAsync(string headers, string folder, CancellationToken cancel)
    {
        using var build = Process.Start(new ProcessStartInfo(Checkout.At("tests/Eli/attack/build"), [headers, folder]))!;
        await build.WaitForExitAsync(cancel);
        return build.ExitCode == 0 ? Path.Combine(folder, "attack.ko") : throw new InvalidOperationException($"tests/Eli/attack/build ended with {build.ExitCode}.");
    }
}

/// <summary>What a host did while one of its CPUs was attacked.</summary>
/// <param name="WatchingTicks">Ticks a second of CPU 0, which nobody attacks: the control within the run, since an emulator that stands still for want of a processor costs both CPUs theirs.</param>
/// <param name="Ticks">Ticks a second of CPU 1.</param>
/// <param name="Calls">Times that CPU 0 called all CPUs and waited for them.</param>
/// <param name="SlowestMs">The longest of those, milliseconds.</param>
internal sealed record HostTicks(double WatchingTicks, double Ticks, int Calls, int SlowestMs)
{
    /// <summary>CPU 1's ticks for each of CPU 0's.</summary>
    public double Share => Ticks / WatchingTicks;

    /// <summary>
    /// A script of the host's, for <see cref="Parse"/>. Ticks are counted by their own handler: the local timer also comes for the guest's timers, of which an attacker sets fewer. Switching scheduler
    /// statistics patches the kernel's text, which calls every CPU and waits for it.
    /// </summary>
    public static readonly string Script = $$"""
        instance=/sys/kernel/tracing/instances/ticks; mkdir -p $instance
        event=$instance/events/timer/hrtimer_expire_entry
        echo 'hist:keys=function.sym,common_cpu' >$event/trigger
        up() { cut -d ' ' -f 1 /proc/uptime | tr -d .; }
        start=$(up); calls=0; slowest=0
        while [ $(up) -lt $((start + {{Attack.Seconds}} * 100)) ]; do
          from=$(up); echo $((calls % 2)) >/proc/sys/kernel/sched_schedstats; took=$(($(up) - from))
          calls=$((calls + 1)); [ $took -le $slowest ] || slowest=$took
          sleep 0.2
        done
        end=$(up)
        for cpu in 0 1; do grep -E "tick_nohz_handler.*common_cpu: +$cpu " $event/hist | sed 's/.*hitcount: *//'; done
        echo '!hist:keys=function.sym,common_cpu' >$event/trigger; rmdir $instance
        echo $((end - start)); echo $calls; echo $((slowest * 10))

        """;

    public static HostTicks Parse(string output)
    {
        var numbers = output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(n => double.Parse(n, CultureInfo.InvariantCulture)).ToArray();
        return new HostTicks(numbers[0] * 100 / numbers[2], numbers[1] * 100 / numbers[2], (int)numbers[3], (int)numbers[4]);
    }

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Share:P1} of CPU 0's ticks ({Ticks:F1} and {WatchingTicks:F1} a second), {Calls} cross-calls, slowest {SlowestMs} ms");
}
