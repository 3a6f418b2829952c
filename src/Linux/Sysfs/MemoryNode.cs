using System.Globalization;

namespace Exitless.Linux.Sysfs;

/// <summary>A NUMA node of the host, from sysfs (Documentation/ABI/stable/sysfs-devices-node, Documentation/admin-guide/mm/hugetlbpage.rst).</summary>
/// <param name="root">Where /sys is.</param>
/// <param name="number">The node's number.</param>
public sealed class MemoryNode(HostRoot root, int number)
{
    private string Folder => root.Sys($"devices/system/node/node{number.ToString(CultureInfo.InvariantCulture)}");

    /// <summary>True if there is such a node.</summary>
    public bool Exists => number >= 0 && Directory.Exists(Folder);

    /// <summary>The node's memory in bytes; null where it is not told.</summary>
    public long? MemoryBytes
    {
        get
        {
            // "Node 0 MemTotal:  1009704 kB"
            foreach (var line in (SysfsFile.Text($"{Folder}/meminfo") ?? "").Split('\n'))
            {
                var words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
                if (words is [_, _, "MemTotal:", var kibibytes, ..] && long.TryParse(kibibytes, NumberStyles.None, CultureInfo.InvariantCulture, out var value))
                    return value << 10;
            }
            return null;
        }
    }

    /// <summary>The host's nodes, by number; none where the kernel tells of none.</summary>
    public static IReadOnlyList<int> All(HostRoot root) => [.. CpuList.Parse(SysfsFile.Text(root.Sys("devices/system/node/online"))).Select(n => (int)n)];

    /// <summary>Free huge pages of a size on this node; null if the host has no pages of that size.</summary>
    public long? FreeHugePages(long pageBytes) => SysfsFile.Number($"{Folder}/hugepages/{Pool(pageBytes)}/free_hugepages");

    /// <summary>Huge pages of a size on the whole host that are free and promised to nobody; null if the host has no pages of that size.</summary>
    public static long? FreeHugePages(HostRoot root, long pageBytes)
    {
        var pool = root.Sys($"kernel/mm/hugepages/{Pool(pageBytes)}");
        return SysfsFile.Number($"{pool}/free_hugepages") is { } free ? Math.Max(0, free - (SysfsFile.Number($"{pool}/resv_hugepages") ?? 0)) : null;
    }

    /// <summary>How far this node is from each other one, in the order of <see cref="All"/>: 10 is the node itself (ACPI 6.5, section 5.2.17).</summary>
    public IReadOnlyList<int> Distances() =>
        [.. (SysfsFile.Text($"{Folder}/distance") ?? "").Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(d => int.TryParse(d, NumberStyles.None, CultureInfo.InvariantCulture, out var value) ? value : 0)];

    private static string Pool(long pageBytes) => $"hugepages-{(pageBytes >> 10).ToString(CultureInfo.InvariantCulture)}kB";
}
