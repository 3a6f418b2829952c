using Exitless.Linux;
using Exitless.Linux.Procfs;
using Exitless.Linux.Sysfs;

namespace Exitless.Agent.Inventory;

/// <summary>Says which functions carry a disk that the host uses: one that is mounted or swapped to, part of a volume or an array, or held open by a program.</summary>
/// <param name="root">The host.</param>
/// <param name="isClaimed">Whether the kernel holds a disk, by its name: <see cref="BlockDevice.IsClaimed"/>.</param>
internal sealed class StorageUseReader(HostRoot root, Func<string, bool> isClaimed)
{
    /// <summary>Tells every function in use, the worst reason of each first.</summary>
    /// <param name="add">Takes a function's address and the reason.</param>
    public void Read(Action<string, string> add)
    {
        var free = Disks();
        void Use(IReadOnlyList<string> carriers, string reason)
        {
            foreach (var address in carriers)
            {
                add(address, reason);
                foreach (var carried in free.Values)
                    carried.Remove(address);
            }
        }
        AddMountsAndSwap(Use);
        AddVolumes(free, Use);
        AddPrograms(free, Use);
    }

    /// <summary>A disk on a function that the kernel holds for a reason that <see cref="Read"/> does not know, in the words of a reason; null: none.</summary>
    public string? Claim(string address) => Disks().Where(d => d.Value.Contains(address)).Select(d => d.Key).FirstOrDefault(isClaimed) is { } disk
        ? $"carries /dev/{disk}, which the host's kernel holds, such as for a ZFS pool" : null;

    // Each disk and partition, and the functions that it hangs on. Those that are known to be in use are taken away, so that nobody looks further for a reason.
    private Dictionary<string, HashSet<string>> Disks() => SysfsFile.Names(root.Sys("class/block"))
        .Select(name => (name, carriers: BlockDevice.CarriersOf(root, name))).Where(d => d.carriers.Count > 0)
        .ToDictionary(d => d.name, d => d.carriers.ToHashSet(StringComparer.Ordinal), StringComparer.Ordinal);

    private void AddMountsAndSwap(Action<IReadOnlyList<string>, string> use)
    {
        var mounts = MountTable.Read(root);
        // The root first, so that a disk that carries more than one says the worst.
        foreach (var mount in mounts.OrderBy(m => m.MountPoint.Length))
        {
            var what = mount.MountPoint == "/" ? "the root disk" : $"the mounted file system {mount.MountPoint}";
            use(CarriersOf(mount), $"carries {what} ({mount.Source})");
        }
        // Of several disks of one btrfs the table of mounts names one.
        foreach (var system in SysfsFile.Names(root.Sys("fs/btrfs")))
        {
            foreach (var disk in SysfsFile.Names(root.Sys($"fs/btrfs/{system}/devices")))
                use(BlockDevice.CarriersOf(root, disk), $"carries a part of a mounted btrfs (/dev/{disk}, {system})");
        }
        foreach (var swap in SwapTable.Read(root))
        {
            var carriers = swap.IsFile && MountTable.Of(mounts, swap.Path) is { } on
                ? CarriersOf(on)
                : BlockDevice.CarriersOf(root, BlockDevice.NameOf(root, swap.Path));
            use(carriers, $"carries swap ({swap.Path})");
        }
    }

    private IReadOnlyList<string> CarriersOf(Mount mount)
    {
        var byNumber = mount.Device.StartsWith("0:", StringComparison.Ordinal) ? [] : BlockDevice.CarriersOf(root, mount.Device);
        // btrfs and others have no block device of their own; their source names one.
        return byNumber.Count > 0 || !mount.Source.StartsWith("/dev/", StringComparison.Ordinal)
            ? byNumber
            : BlockDevice.CarriersOf(root, BlockDevice.NameOf(root, mount.Source));
    }

    // A volume or an array is in use though no file system of it is mounted: its data would be gone under it.
    private void AddVolumes(Dictionary<string, HashSet<string>> disks, Action<IReadOnlyList<string>, string> use)
    {
        foreach (var (name, carriers) in disks)
        {
            if (carriers.Count > 0 && SysfsFile.Names(root.Sys($"class/block/{name}/holders")) is [var holder, ..])
                use([.. carriers], $"carries the volume {SysfsFile.Text(root.Sys($"class/block/{holder}/dm/name")) ?? holder} (which has /dev/{name})");
        }
    }

    private void AddPrograms(Dictionary<string, HashSet<string>> disks, Action<IReadOnlyList<string>, string> use)
    {
        // It looks at every descriptor of every process, and most hosts use all their disks in one of the ways above.
        if (disks.Values.All(carriers => carriers.Count == 0))
            return;
        foreach (var (node, holder) in ProcessFiles.HoldersBelow(root, "/dev/").OrderBy(h => h.Key, StringComparer.Ordinal))
        {
            if (disks.TryGetValue(Path.GetFileName(node), out var carriers))
                use([.. carriers], $"carries {node}, which a program has open (process {holder.ProcessId}, {holder.Name})");
        }
    }
}
