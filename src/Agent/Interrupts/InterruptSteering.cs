using System.Globalization;
using Exitless.Linux;
using Exitless.Linux.Sysfs;

namespace Exitless.Agent.Interrupts;

/// <summary>
/// Keeps the host's interrupts off CPUs that vCPUs have to themselves: those that are there now one by one, those to come by their default (Documentation/core-api/irq/irq-affinity.rst).
/// The CPUs are isolated by the operator's own boot parameter, so nothing is put back when a VM ends.
/// </summary>
internal static class InterruptSteering
{
    /// <returns>How many interrupts were moved, and how many cannot be.</returns>
    public static (int Moved, int Fixed) KeepAway(HostRoot root, IReadOnlyList<int> cpus)
    {
        var (moved, stuck) = (0, 0);
        var avoided = cpus.Select(c => (uint)c).ToHashSet();
        var housekeeping = CpuList.Parse(SysfsFile.Text(root.Sys("devices/system/cpu/online"))).Except(CpuList.Parse(SysfsFile.Text(root.Sys("devices/system/cpu/isolated")))).ToArray();
        if (avoided.Count == 0 || housekeeping.Length == 0)
            return (0, 0);
        WriteDefault(root, housekeeping);
        var folder = root.Proc("irq");
        foreach (var irq in Directory.Exists(folder) ? Directory.GetDirectories(folder) : [])
        {
            var path = Path.Combine(irq, "smp_affinity_list");
            var allowed = CpuList.Parse(SysfsFile.Text(path));
            if (!allowed.Any(avoided.Contains))
                continue;
            var rest = allowed.Where(c => !avoided.Contains(c)).ToArray();
            if (TryWrite(path, Text(rest.Length > 0 ? rest : housekeeping)))
                moved++;
            else
                stuck++;   // one of a timer, of a CPU of its own, or managed by its driver
        }
        return (moved, stuck);
    }

    private static string Text(IEnumerable<uint> cpus) => string.Join(',', cpus.Select(c => c.ToString(CultureInfo.InvariantCulture)));

    // A mask in words of 32 CPUs, the highest first.
    private static void WriteDefault(HostRoot root, uint[] cpus)
    {
        var words = new uint[(cpus.Max() / 32) + 1];
        foreach (var cpu in cpus)
            words[^(int)((cpu / 32) + 1)] |= 1u << (int)(cpu % 32);
        TryWrite(root.Proc("irq/default_smp_affinity"), string.Join(',', words.Select(w => w.ToString("x8", CultureInfo.InvariantCulture))));
    }

    private static bool TryWrite(string path, string text)
    {
        try
        {
            SysfsFile.Write(path, text);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }
}
