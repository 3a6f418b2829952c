using System.Globalization;

namespace Exitless.Benchmarks.Fleet;

/// <summary>CPU seconds that the three parts and the whole machine have used so far.</summary>
/// <param name="Generator">This process: simulated hosts and those who ask.</param>
/// <param name="Server">The control plane.</param>
/// <param name="Database">PostgreSQL, all of its processes.</param>
/// <param name="Machine">All that ran on the machine.</param>
internal sealed record CpuSeconds(double Generator, double Server, double Database, double Machine);

/// <summary>CPU of the parts over a time, each as a number of CPUs.</summary>
/// <param name="Others">What else ran on the machine.</param>
internal sealed record CpuShares(double Generator, double Server, double Database, double Others)
{
    public string Words => string.Create(CultureInfo.InvariantCulture, $"generator {Generator:0.00}, server {Server:0.00}, database {Database:0.00}, all else on the machine {Others:0.00} CPUs");
}

/// <summary>The processes that take part, read from /proc (proc(5)).</summary>
internal sealed class FleetProcesses(Func<int> server, string cluster)
{
    private const double TicksASecond = 100;   // USER_HZ of every x86 kernel

    /// <summary>The database's first process; null: none runs.</summary>
    public int? Postmaster => File.Exists(Path.Combine(cluster, "postmaster.pid")) && int.TryParse(File.ReadLines(Path.Combine(cluster, "postmaster.pid")).First(), NumberStyles.None, CultureInfo.InvariantCulture, out var id) ? id : null;

    public CpuSeconds Cpu()
    {
        var database = 0.0;
        if (Postmaster is { } postmaster && Stat(postmaster) is { } first)
        {
            // Sessions that have ended are in their parent's sum.
            database = first.Own + first.EndedChildren;
            foreach (var folder in Directory.EnumerateDirectories("/proc"))
            {
                if (int.TryParse(Path.GetFileName(folder), NumberStyles.None, CultureInfo.InvariantCulture, out var id) && Stat(id) is { } one && one.Parent == postmaster)
                    database += one.Own;
            }
        }
        var all = File.ReadLines("/proc/stat").First().Split(' ', StringSplitOptions.RemoveEmptyEntries).Skip(1).Select(f => double.Parse(f, CultureInfo.InvariantCulture)).ToArray();
        // user, nice, system, irq, softirq; neither idle, iowait nor stolen time, and a guest's is in user.
        var machine = (all[0] + all[1] + all[2] + all[5] + all[6]) / TicksASecond;
        return new CpuSeconds(Environment.CpuUsage.TotalTime.TotalSeconds, Stat(server())?.Own ?? 0, database, machine);
    }

    public static CpuShares Between(CpuSeconds a, CpuSeconds b, double seconds)
    {
        var (generator, own, database) = ((b.Generator - a.Generator) / seconds, (b.Server - a.Server) / seconds, (b.Database - a.Database) / seconds);
        return new CpuShares(generator, own, database, Math.Max(0, (b.Machine - a.Machine) / seconds - generator - own - database));
    }

    /// <summary>PSS and RSS of the control plane, MiB.</summary>
    public (double Pss, double Rss) ServerMemory()
    {
        double Field(string name) => double.Parse(File.ReadLines($"/proc/{server()}/smaps_rollup").First(l => l.StartsWith(name, StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) / 1024;
        return (Field("Pss:"), Field("Rss:"));
    }

    private static (int Parent, double Own, double EndedChildren)? Stat(int process)
    {
        try
        {
            var fields = File.ReadAllText($"/proc/{process}/stat").Split(')')[^1].Split(' ', StringSplitOptions.RemoveEmptyEntries);
            double Ticks(int at) => double.Parse(fields[at], CultureInfo.InvariantCulture) / TicksASecond;
            return (int.Parse(fields[1], CultureInfo.InvariantCulture), Ticks(11) + Ticks(12), Ticks(13) + Ticks(14));
        }
        catch (IOException)
        {
            return null;   // It has just ended.
        }
    }
}
