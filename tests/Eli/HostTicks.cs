using System.Globalization;

namespace Exitless.Tests;

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
