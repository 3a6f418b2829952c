using System.Globalization;
using Exitless.Linux.Sysfs;

namespace Exitless.Agent.Doctor;

/// <summary>A PCI function, as far as the doctor needs it.</summary>
/// <param name="Folder">In the device tree; the ports that it hangs below are in it.</param>
/// <param name="ClassCode">24 bits.</param>
/// <param name="Group">Its IOMMU group; null: no IOMMU translates for it.</param>
/// <param name="Pf">Of a VF.</param>
/// <param name="Capabilities">Of a bridge; others have none here.</param>
internal sealed record HostFunction(
    string Address, string Folder, string Id, uint ClassCode, string? Driver, int? Group, int? Node, string? Pf, int TotalVfs, int NumVfs, bool? AutoProbe, PciCapabilities Capabilities)
{
    public bool IsBridge => ClassCode >> 16 == 0x06;

    /// <summary>What people assign to VMs: NICs, NVMe controllers, displays, accelerators.</summary>
    public bool IsOfInterest => ClassCode >> 16 is 0x02 or 0x03 or 0x12 || ClassCode >> 8 == 0x0108;

    /// <summary>dddd:bb:dd, without the function.</summary>
    public string Slot => Address[..^2];

    /// <summary>The functions that it hangs below, from the root port down.</summary>
    public IEnumerable<string> Above => Folder.Split('/').Where(part => PciFunction.IsAddress(part) && part != Address);
}

/// <summary>The host's PCI functions (Documentation/ABI/testing/sysfs-bus-pci).</summary>
internal static class HostFunctions
{
    public static IReadOnlyList<HostFunction> Read(HostFiles files)
    {
        const string All = "/sys/bus/pci/devices";
        return [.. files.Names(All, n => PciFunction.IsAddress(n)).Select(address => Read(files, address, files.Resolve($"{All}/{address}"))).OfType<HostFunction>()];
    }

    private static HostFunction? Read(HostFiles files, string address, string folder)
    {
        if (files.Hex(folder + "/vendor") is not { } vendor || files.Hex(folder + "/device") is not { } device)
            return null;
        var classCode = (uint)(files.Hex(folder + "/class") ?? 0);
        // Of ports only: reading a configuration space wakes a sleeping device, and a guest's may be in the middle of a reset.
        var space = classCode >> 16 == 0x06 ? files.Bytes(folder + "/config", PciCapabilities.Reduce) ?? [] : [];
        return new HostFunction(
            address, folder, string.Create(CultureInfo.InvariantCulture, $"{vendor:x4}:{device:x4}"), classCode, files.LinkName(folder + "/driver"),
            int.TryParse(files.LinkName(folder + "/iommu_group"), NumberStyles.None, CultureInfo.InvariantCulture, out var group) ? group : null,
            files.Number(folder + "/numa_node") is { } node and >= 0 ? (int)node : null,
            files.LinkName(folder + "/physfn"),
            (int)(files.Number(folder + "/sriov_totalvfs") ?? 0), (int)(files.Number(folder + "/sriov_numvfs") ?? 0), files.Flag(folder + "/sriov_drivers_autoprobe"),
            PciCapabilities.Parse(space));
    }
}
