using System.Globalization;

namespace Exitless.Linux.Sysfs;

/// <summary>The kernel's list format of CPUs, as in "0-3,8" (Documentation/admin-guide/cputopology.rst).</summary>
public static class CpuList
{
    /// <summary>The numbers in the list; parts that are no numbers are left out.</summary>
    public static IReadOnlyList<uint> Parse(string? text)
    {
        var cpus = new List<uint>();
        foreach (var part in (text ?? "").Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            var dash = part.IndexOf('-', StringComparison.Ordinal);
            if (!uint.TryParse(dash < 0 ? part : part[..dash], NumberStyles.None, CultureInfo.InvariantCulture, out var first))
                continue;
            var last = first;
            if (dash >= 0 && !uint.TryParse(part[(dash + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out last))
                continue;
            for (var cpu = first; cpu <= last; cpu++)
                cpus.Add(cpu);
        }
        return cpus;
    }
}
