using Exitless.Vmm.Control;
using Exitless.Vmm.Kvm;
using Exitless.Vmm.Memory;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Vfio;

/// <summary>
/// The DMA space that VFIO's groups and container make. There is a container while there is a group in it: the first device brings one, and with the last it goes,
/// and with it every mapping and pinned page.
/// </summary>
/// <param name="calls">VFIO.</param>
/// <param name="files">What KVM knows of VFIO.</param>
/// <param name="ram">Guest memory.</param>
internal sealed class GroupSpace(IVfioCalls calls, IKvmVfioFiles files, IReadOnlyList<RamRange> ram) : IDmaSpace
{
    private readonly Lock _gate = new();
    private readonly Dictionary<int, Group> _groups = [];
    private VfioContainer? _container;

    public IovaRanges Ranges => _container?.Ranges ?? new IovaRanges([]);

    public long? MappingsLeft
    {
        get
        {
            lock (_gate)
                return _container?.MappingsLeft;
        }
    }

    public void Join(IReadOnlyList<VfioDeviceConfig> devices, DeviceDescriptors descriptors)
    {
        lock (_gate)
        {
            var fresh = new List<(int Number, SafeFileHandle File)>();
            foreach (var number in devices.Select(d => d.IommuGroup).Distinct().Where(n => !_groups.ContainsKey(n)))
                fresh.Add((number, descriptors.Groups.TryGetValue(number, out var file) ? file : throw Missing($"/dev/vfio/{number}")));
            var joined = new List<int>();
            try
            {
                if (_container is null)
                    Begin(descriptors.Container ?? throw Missing("/dev/vfio/vfio"), fresh);
                else
                    foreach (var (number, file) in fresh)
                        _container.Join(number, file);
                CheckMemory();
                foreach (var (number, file) in fresh)
                {
                    files.Add(file);
                    _groups.Add(number, new Group(file));
                    joined.Add(number);
                }
                if (joined.Count == _groups.Count)
                    _container!.Map(ram);
                foreach (var device in devices)
                    _groups[device.IommuGroup].Devices++;
                CloseUnused(descriptors);
            }
            catch
            {
                foreach (var number in joined)
                    files.Remove(_groups[number].File);
                foreach (var (number, file) in fresh)
                {
                    _groups.Remove(number);
                    _container?.Leave(file);
                }
                EndIfEmpty();
                throw;
            }
        }
    }

    public IVfioDevice Open(VfioDeviceConfig device, string field)
    {
        SafeFileHandle group;
        lock (_gate)
            group = _groups[device.IommuGroup].File;
        return VfioDevice.FromGroup(calls, group, device.Address, field);
    }

    public void Leave(VfioDeviceConfig device)
    {
        lock (_gate)
        {
            if (!_groups.TryGetValue(device.IommuGroup, out var group) || --group.Devices > 0)
                return;
            files.Remove(group.File);
            _groups.Remove(device.IommuGroup);
            _container?.Leave(group.File);
            EndIfEmpty();
        }
    }

    public bool TryMap(ulong guestAddress, ulong size, ulong hostAddress)
    {
        lock (_gate)
            return _container?.TryMap(guestAddress, size, hostAddress) ?? false;
    }

    public void Unmap(ulong guestAddress, ulong size)
    {
        lock (_gate)
            _container?.Unmap(guestAddress, size);
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _container?.Dispose();
            _container = null;
            _groups.Clear();
            files.Dispose();
        }
    }

    private void Begin(SafeFileHandle container, List<(int Number, SafeFileHandle File)> groups)
    {
        _container = new VfioContainer(calls, container, groups);
        LockedMemory.Reserve(ram.Aggregate(0UL, (sum, range) => sum + range.Size));
    }

    /// <summary>A group that joins later may narrow what can be translated.</summary>
    private void CheckMemory()
    {
        foreach (var range in ram)
            _container!.Ranges.Check("Guest memory", range.GuestAddress, range.Size, "memoryBytes");
    }

    private void CloseUnused(DeviceDescriptors descriptors)
    {
        if (descriptors.Container is { } container && _container?.Owns(container) != true)
            container.Dispose();
        foreach (var group in descriptors.Groups.Values.Where(g => !_groups.Values.Any(own => own.File == g)))
            group.Dispose();
    }

    private void EndIfEmpty()
    {
        if (_groups.Count > 0)
            return;
        _container?.Dispose();
        _container = null;
    }

    private static VmmProblemException Missing(string file) => new(
        "vmm-protocol", "The devices came without their descriptors.", $"{file} was not passed, and the VM does not have it.", "Update the agent.");

    private sealed class Group(SafeFileHandle file)
    {
        public SafeFileHandle File => file;

        public int Devices { get; set; }
    }
}
