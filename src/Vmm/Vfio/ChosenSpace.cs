using Exitless.Vmm.Control;

namespace Exitless.Vmm.Vfio;

/// <summary>
/// The DMA space of the VM's devices by whichever interface of the kernel they are passed: with the first device one is chosen, and it holds until the last has left. The
/// two have an address space each, so devices of a VM cannot be mixed.
/// </summary>
internal sealed class ChosenSpace(IDmaSpace groups, IDmaSpace iommufd) : IDmaSpace
{
    private readonly Lock _gate = new();
    private bool _byIommufd;
    private int _devices;

    /// <summary>True if the devices came by iommufd; null without a device.</summary>
    public bool? IsIommufd
    {
        get
        {
            lock (_gate)
                return _devices == 0 ? null : _byIommufd;
        }
    }

    public IovaRanges Ranges => Chosen.Ranges;

    public long? MappingsLeft => Chosen.MappingsLeft;

    private IDmaSpace Chosen => Volatile.Read(ref _byIommufd) ? iommufd : groups;

    /// <inheritdoc />
    /// <exception cref="VmmProblemException">vfio-mixed.</exception>
    public void Join(IReadOnlyList<VfioDeviceConfig> devices, DeviceDescriptors descriptors)
    {
        lock (_gate)
        {
            var byIommufd = descriptors.Cdevs.Count > 0;
            if (_devices > 0 && byIommufd != _byIommufd)
            {
                throw new VmmProblemException("vfio-mixed", "The VM's devices came by another interface of the kernel.",
                    $"Those that it has came by {Name(_byIommufd)}, the new by {Name(byIommufd)}; each has an address space of its own.", $"Attach it with --vfio {(_byIommufd ? "iommufd" : "groups")}.", "devices");
            }
            Volatile.Write(ref _byIommufd, byIommufd);
            Chosen.Join(devices, descriptors);
            _devices += devices.Count;
        }
    }

    public IVfioDevice Open(VfioDeviceConfig device, string field) => Chosen.Open(device, field);

    public void Leave(VfioDeviceConfig device)
    {
        lock (_gate)
        {
            Chosen.Leave(device);
            _devices--;
        }
    }

    public bool TryMap(ulong guestAddress, ulong size, ulong hostAddress) => Chosen.TryMap(guestAddress, size, hostAddress);

    public void Unmap(ulong guestAddress, ulong size) => Chosen.Unmap(guestAddress, size);

    public void Dispose()
    {
        groups.Dispose();
        iommufd.Dispose();
    }

    private static string Name(bool iommufd) => iommufd ? "iommufd" : "their IOMMU groups";
}
