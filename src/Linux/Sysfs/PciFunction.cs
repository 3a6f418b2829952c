using System.Globalization;

namespace Exitless.Linux.Sysfs;

/// <summary>One PCI function as sysfs shows it (Documentation/ABI/testing/sysfs-bus-pci).</summary>
/// <param name="Address">dddd:bb:dd.f in lower case.</param>
/// <param name="Path">Its folder in the device tree, links resolved; the functions that it hangs below are in it.</param>
/// <param name="ClassCode">24 bits: class, subclass, programming interface.</param>
/// <param name="Driver">Null: none is bound.</param>
/// <param name="DriverOverride">The only driver that may bind; null: any.</param>
/// <param name="IommuGroup">Null: no IOMMU translates for it.</param>
/// <param name="NumaNode">Null: the firmware does not say.</param>
/// <param name="PfAddress">Set on a VF.</param>
/// <param name="VfIndex">Set on a VF: the n of its PF's virtfn‹n›.</param>
/// <param name="TotalVfs">0: no SR-IOV capability.</param>
/// <param name="NumVfs">VFs that exist now.</param>
/// <param name="NetInterfaces">Names of its network interfaces.</param>
public sealed record PciFunction(
    string Address, string Path, uint VendorId, uint DeviceId, uint ClassCode, string? Driver, string? DriverOverride, int? IommuGroup,
    int? NumaNode, string? PfAddress, int? VfIndex, int TotalVfs, int NumVfs, IReadOnlyList<string> NetInterfaces)
{
    /// <summary>PCI class 06: a bridge of the host, never to be assigned.</summary>
    public bool IsBridge => ClassCode >> 16 == 0x06;

    /// <summary>True for dddd:bb:dd.f.</summary>
    public static bool IsAddress(ReadOnlySpan<char> text) =>
        text.Length == 12 && text[4] == ':' && text[7] == ':' && text[10] == '.' && text[11] is >= '0' and <= '7'
        && IsHex(text[..4]) && IsHex(text[5..7]) && IsHex(text[8..10]);

    /// <summary>The function's folder in /sys/bus/pci/devices.</summary>
    public static string Folder(HostRoot root, string address) => root.Sys("bus/pci/devices/" + address);

    /// <summary>Reads one function.</summary>
    /// <returns>Null where it does not exist.</returns>
    public static PciFunction? Read(HostRoot root, string address)
    {
        if (!IsAddress(address))
            return null;
        var folder = Folder(root, address);
        if (SysfsFile.RealPath(folder) is not { } path || SysfsFile.Hex(folder + "/vendor") is not { } vendor)
            return null;
        var pf = SysfsFile.LinkName(folder + "/physfn");
        var overridden = SysfsFile.Text(folder + "/driver_override");
        return new PciFunction(
            address, path, (uint)vendor, (uint)(SysfsFile.Hex(folder + "/device") ?? 0), (uint)(SysfsFile.Hex(folder + "/class") ?? 0),
            SysfsFile.LinkName(folder + "/driver"),
            overridden is null or "" or "(null)" ? null : overridden,
            int.TryParse(SysfsFile.LinkName(folder + "/iommu_group"), NumberStyles.None, CultureInfo.InvariantCulture, out var group) ? group : null,
            SysfsFile.Number(folder + "/numa_node") is { } node and >= 0 ? (int)node : null,
            pf,
            pf is null ? null : IndexOf(root, pf, address),
            (int)(SysfsFile.Number(folder + "/sriov_totalvfs") ?? 0),
            (int)(SysfsFile.Number(folder + "/sriov_numvfs") ?? 0),
            InterfacesOf(folder));
    }

    /// <summary>All functions, by address.</summary>
    public static IReadOnlyList<PciFunction> ReadAll(HostRoot root) =>
        [.. SysfsFile.Names(root.Sys("bus/pci/devices")).Select(a => Read(root, a)).OfType<PciFunction>()];

    /// <summary>The addresses of a PF's VFs in the order of their index.</summary>
    public static IReadOnlyList<string> VfsOf(HostRoot root, string pf)
    {
        var folder = Folder(root, pf);
        var vfs = new List<string>();
        while (SysfsFile.LinkName($"{folder}/virtfn{vfs.Count}") is { } address)
            vfs.Add(address);
        return vfs;
    }

    /// <summary>The addresses of all functions in an IOMMU group.</summary>
    public static IReadOnlyList<string> GroupMembers(HostRoot root, int group) => SysfsFile.Names(root.Sys($"kernel/iommu_groups/{group}/devices"));

    // A virtio NIC's interface hangs below its virtio device.
    private static IReadOnlyList<string> InterfacesOf(string folder)
    {
        var own = SysfsFile.Names(folder + "/net");
        return own.Count > 0
            ? own
            : [.. SysfsFile.Names(folder).Where(n => n.StartsWith("virtio", StringComparison.Ordinal)).SelectMany(n => SysfsFile.Names($"{folder}/{n}/net"))];
    }

    private static int? IndexOf(HostRoot root, string pf, string vf)
    {
        var folder = Folder(root, pf);
        for (var i = 0; SysfsFile.LinkName($"{folder}/virtfn{i}") is { } address; i++)
        {
            if (string.Equals(address, vf, StringComparison.Ordinal))
                return i;
        }
        return null;
    }

    private static bool IsHex(ReadOnlySpan<char> text)
    {
        foreach (var c in text)
        {
            if (!char.IsAsciiHexDigit(c) || char.IsAsciiLetterUpper(c))
                return false;
        }
        return true;
    }
}
