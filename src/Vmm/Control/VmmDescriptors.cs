using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Control;

/// <summary>What the agent opens for a VM and passes along with the launch. Disposing closes all of them here; the VMM has its own copies.</summary>
public sealed class VmmDescriptors : IDisposable
{
    /// <summary>/dev/kvm, for reading and writing.</summary>
    public required SafeFileHandle Kvm { get; init; }

    /// <summary>The kernel's file (a bzImage), for reading; null if it is read out of <see cref="VmConfig.BootDisk"/>.</summary>
    public SafeFileHandle? Kernel { get; set; }

    /// <summary>The initrd's file, for reading; null without one.</summary>
    public SafeFileHandle? Initrd { get; set; }

    /// <summary>/dev/vfio/vfio, freshly opened; null without devices, and for devices by iommufd.</summary>
    public SafeFileHandle? VfioContainer { get; init; }

    /// <summary>/dev/vfio/N of each distinct group, in the order in which the devices name them first.</summary>
    public IReadOnlyList<SafeFileHandle> Groups { get; init; } = [];

    /// <summary>The files of <see cref="VmConfig.Disks"/>: each disk's own, for reading and writing unless it is read-only, then its backing files, for reading.</summary>
    public IReadOnlyList<SafeFileHandle> Disks { get; init; } = [];

    /// <summary>/dev/iommu, freshly opened; null unless <see cref="VmConfig.Iommufd"/>.</summary>
    public SafeFileHandle? Iommufd { get; init; }

    /// <summary>/dev/vfio/devices/vfioN of each device, in the order of <see cref="VmConfig.Devices"/>; none unless <see cref="VmConfig.Iommufd"/>.</summary>
    public IReadOnlyList<SafeFileHandle> Cdevs { get; init; } = [];

    /// <summary>The part of them that belongs to devices.</summary>
    internal DeviceDescriptors OfDevices(VmConfig config) => new()
    {
        Container = VfioContainer,
        Groups = config.Devices.Select(d => d.IommuGroup).Distinct().Zip(Groups).ToDictionary(),
        Iommufd = Iommufd,
        Cdevs = config.Devices.Select(d => d.Address).Zip(Cdevs).ToDictionary(StringComparer.Ordinal),
    };

    /// <summary>The TAP interfaces of <see cref="VmConfig.Networks"/>, opened with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR (<see cref="Exitless.Linux.Tap.Open"/>).</summary>
    public IReadOnlyList<SafeFileHandle> Taps { get; init; } = [];

    /// <summary>The Unix stream socket at which host programs reach the guest's <see cref="VmConfig.Vsock"/>, listening; null without one.</summary>
    public SafeFileHandle? Vsock { get; init; }

    /// <inheritdoc />
    public void Dispose()
    {
        Kvm.Dispose();
        Kernel?.Dispose();
        Initrd?.Dispose();
        VfioContainer?.Dispose();
        foreach (var group in Groups)
            group.Dispose();
        Iommufd?.Dispose();
        foreach (var cdev in Cdevs)
            cdev.Dispose();
        foreach (var disk in Disks)
            disk.Dispose();
        foreach (var tap in Taps)
            tap.Dispose();
        Vsock?.Dispose();
    }
}
