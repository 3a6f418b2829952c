using Exitless.Simulator;

namespace Exitless.Benchmarks.Fleet;

/// <summary>A fleet over a time in which nobody does anything but its hosts.</summary>
/// <param name="LinkedHosts">Hosts whose links were up at the beginning.</param>
/// <param name="LinksLost">Links that ended meanwhile.</param>
/// <param name="RowsDue">Rows of the time that every VM owes.</param>
/// <param name="RowsCommitted">Those that the table has, at most ten seconds after the last was due.</param>
/// <param name="AgeP99">Age of rows when their agents are told that they are committed, seconds.</param>
/// <param name="PssMib">The most PSS of the control plane.</param>
/// <param name="RssMib">The most RSS.</param>
/// <param name="Cpu">CPU of the parts.</param>
/// <param name="Seconds">How long.</param>
internal sealed record HeldFigures(int LinkedHosts, int LinksLost, long RowsDue, long RowsCommitted, double? AgeP50, double? AgeP99, double PssMib, double RssMib, CpuShares Cpu, double Seconds)
{
    private const int PeriodSeconds = 10;

    public bool Holds => LinksLost == 0 && RowsDue == RowsCommitted;

    public static async Task<HeldFigures> MeasureAsync(FleetRun run, IReadOnlyList<SimulatedHost> hosts, int vms, TimeSpan window)
    {
        run.Acks.Restart();
        var lost = hosts.Sum(h => h.LinksLost);
        var linked = hosts.Count(h => h.Linked);
        var periods = (int)(window.TotalSeconds / PeriodSeconds);
        var begin = DateTimeOffset.FromUnixTimeSeconds(TimeProvider.System.GetUtcNow().ToUnixTimeSeconds() + 1);
        var (cpu, started) = (run.Processes.Cpu(), TimeProvider.System.GetTimestamp());
        var (pss, rss) = (0.0, 0.0);
        using (var pulse = new PeriodicTimer(TimeSpan.FromSeconds(PeriodSeconds)))
        {
            for (var i = 0; i < periods; i++)
            {
                await pulse.WaitForNextTickAsync();
                var (nowPss, nowRss) = run.Processes.ServerMemory();
                (pss, rss) = (Math.Max(pss, nowPss), Math.Max(rss, nowRss));
            }
        }
        var seconds = TimeProvider.System.GetElapsedTime(started).TotalSeconds;
        var shares = FleetProcesses.Between(cpu, run.Processes.Cpu(), seconds);
        // Every running VM owes exactly one row in each ten seconds.
        var end = begin.AddSeconds(periods * PeriodSeconds).AddMilliseconds(-1);
        using (var settle = new PeriodicTimer(TimeSpan.FromSeconds(PeriodSeconds)))
            await settle.WaitForNextTickAsync();
        var committed = await run.Database.RowsAsync(begin, end);
        return new HeldFigures(linked, hosts.Sum(h => h.LinksLost) - lost, (long)vms * periods, committed, run.Acks.Age(0.5), run.Acks.Age(0.99), pss, rss, shares, seconds);
    }
}
