namespace Exitless.Linux.Sysfs;

/// <summary>One network interface (Documentation/ABI/testing/sysfs-class-net).</summary>
/// <param name="Index">The kernel's interface index.</param>
/// <param name="LinkUp">The link has carrier. False also while the interface is down.</param>
/// <param name="PciAddress">The function it belongs to; null: a virtual interface.</param>
/// <param name="Lower">The interfaces below a bond, bridge, team or VLAN.</param>
public sealed record NetInterface(string Name, int Index, string Mac, bool LinkUp, string? PciAddress, IReadOnlyList<string> Lower)
{
    /// <summary>Reads one interface.</summary>
    /// <returns>Null where it does not exist.</returns>
    public static NetInterface? Read(HostRoot root, string name)
    {
        var folder = root.Sys("class/net/" + name);
        if (SysfsFile.Number(folder + "/ifindex") is not { } index)
            return null;
        var lower = SysfsFile.Names(folder).Where(n => n.StartsWith("lower_", StringComparison.Ordinal)).Select(n => n["lower_".Length..]);
        // The interfaces of a bridge are not "lower" ones in sysfs: they are in brif.
        return new NetInterface(
            name, (int)index, SysfsFile.Text(folder + "/address") ?? "", SysfsFile.Number(folder + "/carrier") == 1,
            PciOf(folder), [.. lower.Concat(SysfsFile.Names(folder + "/brif")).Distinct(StringComparer.Ordinal)]);
    }

    /// <summary>The name of the interface with this index, or null.</summary>
    public static string? NameOf(HostRoot root, int index) =>
        SysfsFile.Names(root.Sys("class/net")).FirstOrDefault(n => SysfsFile.Number(root.Sys($"class/net/{n}/ifindex")) == index);

    /// <summary>The PCI functions that carry an interface: its own, or those of all interfaces below it.</summary>
    public static IReadOnlyList<string> CarriersOf(HostRoot root, string name)
    {
        var functions = new List<string>();
        var seen = new HashSet<string>(StringComparer.Ordinal);
        var open = new Stack<string>([name]);
        while (open.TryPop(out var next))
        {
            if (!seen.Add(next) || Read(root, next) is not { } network)
                continue;
            if (network.PciAddress is { } address)
                functions.Add(address);
            foreach (var lower in network.Lower)
                open.Push(lower);
        }
        return functions;
    }

    // The device link may point below the PCI function (virtio0 below 0000:00:04.0), so the nearest function above it counts.
    private static string? PciOf(string folder) =>
        SysfsFile.RealPath(folder + "/device")?.Split('/').LastOrDefault(part => PciFunction.IsAddress(part));
}
