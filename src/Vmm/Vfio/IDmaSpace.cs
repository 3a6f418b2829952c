using Exitless.Vmm.Control;

namespace Exitless.Vmm.Vfio;

/// <summary>
/// The IOMMU address space that is the guest's physical memory, for all devices of the VM. It has memory mapped, and thereby pinned, while a device is in it.
/// </summary>
internal interface IDmaSpace : IPeerMemory, IDisposable
{
    /// <summary>What the IOMMU can translate for the devices that are in.</summary>
    IovaRanges Ranges { get; }

    /// <summary>How many mappings the kernel would still take; null if it does not tell.</summary>
    long? MappingsLeft { get; }

    /// <summary>Lets devices in, all or none. The descriptors go over to this, which closes those that it does not need; unless it throws.</summary>
    /// <exception cref="VmmProblemException">What the host cannot do.</exception>
    void Join(IReadOnlyList<VfioDeviceConfig> devices, DeviceDescriptors descriptors);

    /// <summary>Opens a device that is in. May be called on several threads at once.</summary>
    /// <param name="device">Which.</param>
    /// <param name="field">What the user may change.</param>
    IVfioDevice Open(VfioDeviceConfig device, string field);

    /// <summary>Lets a device go that is closed, or was never opened.</summary>
    void Leave(VfioDeviceConfig device);
}
