namespace Exitless.Linux.Sysfs;

/// <summary>Which PCI functions a block device hangs on.</summary>
public static class BlockDevice
{
    /// <summary>The functions on the way to a block device, through device-mapper, md and NVMe multipath.</summary>
    /// <param name="name">The kernel's name (sda1, dm-0) or "major:minor".</param>
    public static IReadOnlyList<string> CarriersOf(HostRoot root, string name)
    {
        var functions = new HashSet<string>(StringComparer.Ordinal);
        var start = name.Contains(':', StringComparison.Ordinal) ? root.Sys("dev/block/" + name) : root.Sys("class/block/" + name);
        if (SysfsFile.RealPath(start) is { } path)
            Collect(root, path, functions, []);
        return [.. functions];
    }

    /// <summary>The kernel's name of a device node: /dev/mapper/x and /dev/disk/by-uuid/… are links to it.</summary>
    public static string NameOf(HostRoot root, string node) => Path.GetFileName(SysfsFile.RealPath(root.At(node)) ?? node);

    /// <summary>
    /// True if the kernel holds a disk or a partition of it for itself. It finds what no table tells, such as the members of a ZFS pool; but for a moment nobody else can claim the disk, so ask
    /// only before it is taken away.
    /// </summary>
    /// <param name="name">The kernel's name.</param>
    public static bool IsClaimed(HostRoot root, string name)
    {
        using var file = Files.TryOpen(root.Dev(name), OpenMode.Read | OpenMode.Exclusive | OpenMode.NonBlocking, out var error);
        return error == Errno.Busy;
    }

    private static void Collect(HostRoot root, string path, HashSet<string> functions, HashSet<string> seen)
    {
        if (!seen.Add(path))
            return;
        foreach (var part in path.Split('/'))
        {
            if (PciFunction.IsAddress(part))
                functions.Add(part);
        }
        // dm and md name what they are made of in slaves; a partition has it on its whole disk.
        foreach (var folder in new[] { path, Path.GetDirectoryName(path)! })
        {
            foreach (var slave in SysfsFile.Names(folder + "/slaves"))
            {
                if (SysfsFile.RealPath($"{folder}/slaves/{slave}") is { } below)
                    Collect(root, below, functions, seen);
            }
        }
        // With NVMe multipath the disk hangs below nvme-subsystem/nvme-subsys‹n›, whose controllers are links to the real ones.
        var subsystem = path.LastIndexOf("/nvme-subsys", StringComparison.Ordinal);
        if (subsystem < 0)
            return;
        var end = path.IndexOf('/', subsystem + 1);
        var subsystemFolder = end < 0 ? path : path[..end];
        foreach (var controller in SysfsFile.Names(subsystemFolder).Where(n => n.StartsWith("nvme", StringComparison.Ordinal)))
        {
            if (SysfsFile.RealPath($"{subsystemFolder}/{controller}") is { } real && !real.StartsWith(subsystemFolder, StringComparison.Ordinal))
                Collect(root, real, functions, seen);
        }
    }
}
