using Exitless.Vmm.Control;
using Exitless.Vmm.Kvm;
using Exitless.Vmm.Memory;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Vfio;

/// <summary>
/// The DMA space that iommufd and the devices' own files make (Linux 6.6 and later). There is an address space while there is a device in it: the first device brings
/// /dev/iommu, and with the last it goes, and with it every mapping and pinned page.
/// </summary>
/// <param name="calls">The kernel.</param>
/// <param name="files">What KVM knows of VFIO.</param>
/// <param name="ram">Guest memory.</param>
internal sealed class IommufdSpace(IVfioCalls calls, IKvmVfioFiles files, IReadOnlyList<RamRange> ram) : IDmaSpace
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, SafeFileHandle> _devices = new(StringComparer.Ordinal);
    private IoAddressSpace? _space;

    public IovaRanges Ranges => _space?.Ranges ?? new IovaRanges([]);

    /// <summary>iommufd has no such limit.</summary>
    public long? MappingsLeft => null;

    /// <inheritdoc />
    /// <remarks>
    /// KVM hears of a device before it is bound, since the kernel looks for the VM then. All are bound at once, because that resets them. They are attached before memory is
    /// mapped: only then is it known what can be translated, and nothing is pinned for a VM that does not fit.
    /// </remarks>
    public void Join(IReadOnlyList<VfioDeviceConfig> devices, DeviceDescriptors descriptors)
    {
        lock (_gate)
        {
            var fresh = devices.Select(d => (d.Address, File: descriptors.Cdevs.TryGetValue(d.Address, out var file) ? file : throw Missing($"The file of {d.Address} in /dev/vfio/devices"))).ToList();
            var first = _space is null;
            var known = new List<SafeFileHandle>();
            try
            {
                if (first)
                {
                    _space = new IoAddressSpace(calls, descriptors.Iommufd ?? throw Missing("/dev/iommu"));
                    LockedMemory.Reserve(ram.Aggregate(0UL, (sum, range) => sum + range.Size));
                }
                foreach (var (_, file) in fresh)
                {
                    files.Add(file);
                    known.Add(file);
                }
                ParallelOpening.ForEach(fresh, (d, _) => _space!.Bind(d.Address, d.File));
                foreach (var (address, file) in fresh)
                    _space!.Attach(address, file);
                _space!.ReadRanges();
                foreach (var range in ram)
                    _space.Ranges.Check("Guest memory", range.GuestAddress, range.Size, "memoryBytes");
                if (first)
                    _space.Map(ram);
            }
            catch
            {
                known.ForEach(files.Remove);
                // Unbinds them.
                fresh.ForEach(d => d.File.Dispose());
                EndIfEmpty();
                throw;
            }
            foreach (var (address, file) in fresh)
                _devices.Add(address, file);
            CloseUnused(descriptors);
        }
    }

    public IVfioDevice Open(VfioDeviceConfig device, string field)
    {
        SafeFileHandle file;
        lock (_gate)
            file = _devices[device.Address];
        // The file stays this space's: KVM must forget it before it is closed.
        return new VfioDevice(calls, new SafeFileHandle(file.DangerousGetHandle(), ownsHandle: false), device.Address, field);
    }

    public void Leave(VfioDeviceConfig device)
    {
        lock (_gate)
        {
            if (!_devices.Remove(device.Address, out var file))
                return;
            files.Remove(file);
            file.Dispose();
            EndIfEmpty();
        }
    }

    public bool TryMap(ulong guestAddress, ulong size, ulong hostAddress)
    {
        lock (_gate)
            return _space?.TryMap(guestAddress, size, hostAddress) ?? false;
    }

    public void Unmap(ulong guestAddress, ulong size)
    {
        lock (_gate)
            _space?.Unmap(guestAddress, size);
    }

    public void Dispose()
    {
        lock (_gate)
        {
            foreach (var file in _devices.Values)
                file.Dispose();
            _devices.Clear();
            EndIfEmpty();
            files.Dispose();
        }
    }

    private void CloseUnused(DeviceDescriptors descriptors)
    {
        if (descriptors.Iommufd is { } iommufd && _space?.Owns(iommufd) != true)
            iommufd.Dispose();
        foreach (var file in descriptors.Cdevs.Values.Where(f => !_devices.ContainsValue(f)))
            file.Dispose();
    }

    private void EndIfEmpty()
    {
        if (_devices.Count > 0)
            return;
        _space?.Dispose();
        _space = null;
    }

    private static VmmProblemException Missing(string file) => new(
        "vmm-protocol", "The devices came without their descriptors.", $"{file} was not passed, and the VM does not have it.", "Update the agent.");
}
