using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Control;

/// <summary>What the agent opens for devices and passes along. Disposing closes all of them here; the VMM has its own copies.</summary>
public sealed class DeviceDescriptors : IDisposable
{
    /// <summary>/dev/vfio/vfio, freshly opened; null if the VM has a container already.</summary>
    public SafeFileHandle? Container { get; init; }

    /// <summary>/dev/vfio/N by N, for the groups of which the VM has no device yet.</summary>
    public IReadOnlyDictionary<int, SafeFileHandle> Groups { get; init; } = new Dictionary<int, SafeFileHandle>();

    /// <summary>/dev/iommu, freshly opened; null if the VM has a device by it already, or none by it.</summary>
    public SafeFileHandle? Iommufd { get; init; }

    /// <summary>/dev/vfio/devices/vfioN by the device's address, for devices that come by iommufd; all of them do, or none.</summary>
    public IReadOnlyDictionary<string, SafeFileHandle> Cdevs { get; init; } = new Dictionary<string, SafeFileHandle>(StringComparer.Ordinal);

    /// <inheritdoc />
    public void Dispose()
    {
        Container?.Dispose();
        Iommufd?.Dispose();
        foreach (var cdev in Cdevs.Values)
            cdev.Dispose();
        foreach (var group in Groups.Values)
            group.Dispose();
    }
}
