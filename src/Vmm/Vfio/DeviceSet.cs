using Exitless.Linux;
using Exitless.Vmm.Control;
using Exitless.Vmm.Pci;

namespace Exitless.Vmm.Vfio;

/// <summary>The assigned devices of a VM, from launch or hot-plug to their release. All members may be called from any thread.</summary>
/// <param name="space">Where their DMA goes.</param>
/// <param name="assembly">Makes functions of them.</param>
/// <param name="bus">The guest's bus.</param>
/// <param name="peers">True if devices may reach each other's BARs.</param>
internal sealed class DeviceSet(IDmaSpace space, DeviceAssembly assembly, PciBus bus, bool peers = true) : IDisposable
{
    private readonly Lock _gate = new();
    // Replaced as a whole, so that readers need no lock while a device is opened or closed.
    private DeviceSlot[] _slots = [];
    private bool _disposed;

    /// <summary>What is there now.</summary>
    public IReadOnlyList<DeviceSlot> Slots => Volatile.Read(ref _slots);

    /// <summary>Brings the devices of a launch in: at addresses where the guest can leave them.</summary>
    /// <param name="devices">Which.</param>
    /// <param name="descriptors">What they need; used ones go over.</param>
    /// <param name="place">Finds addresses for their BARs.</param>
    public void Launch(IReadOnlyList<VfioDeviceConfig> devices, DeviceDescriptors descriptors, Action<IReadOnlyList<BarRequest>, IovaRanges> place)
    {
        lock (_gate)
            Add(devices, descriptors, opened => place([.. opened.SelectMany(d => d.Bars.Where(b => !b.Description.IsRom).Select(b => b.Request))], space.Ranges));
    }

    /// <summary>Plugs devices into the running guest. Their BARs have no addresses: the guest gives them some.</summary>
    /// <returns>The slots that the guest must be told of.</returns>
    /// <exception cref="VmmProblemException">device-twice, too-many-devices, and what can be wrong with a device.</exception>
    public IReadOnlyList<DeviceSlot> Plug(IReadOnlyList<VfioDeviceConfig> devices, DeviceDescriptors descriptors)
    {
        lock (_gate)
        {
            foreach (var device in devices)
            {
                if (Find(device.Address) is not null || devices.Count(d => string.Equals(d.Address, device.Address, StringComparison.Ordinal)) > 1)
                    throw new VmmProblemException("device-twice", "The VM has this device already.", $"{device.Address} is assigned to it.", "Name another device.", "devices");
            }
            return Add(devices, descriptors, _ => { });
        }
    }

    /// <summary>The slot of a device; null if the VM does not have it.</summary>
    public DeviceSlot? Find(string address) => Slots.FirstOrDefault(s => s.Devices.Any(d => string.Equals(d.Config.Address, address, StringComparison.Ordinal)));

    /// <summary>The slot with a number; null if no assigned device is there.</summary>
    public DeviceSlot? Find(int slot) => Slots.FirstOrDefault(s => s.Number == slot);

    /// <summary>Takes a slot's devices away from the guest, closes them and lets them out of the DMA space.</summary>
    /// <returns>False if somebody else did.</returns>
    public bool Release(DeviceSlot slot)
    {
        lock (_gate)
        {
            if (!_slots.Contains(slot))
                return false;
            bus.Clear(slot.Number);
            slot.Dispose();
            foreach (var device in slot.Devices)
                space.Leave(device.Config);
            Volatile.Write(ref _slots, [.. _slots.Where(s => s != slot)]);
            return true;
        }
    }

    /// <summary>Masks that wait take effect.</summary>
    public void Settle()
    {
        foreach (var slot in Slots)
        {
            foreach (var device in slot.Devices)
                device.Function.Settle();
        }
    }

    /// <summary>How many mappings the IOMMU would still take; null without a device, or where the kernel does not tell.</summary>
    public long? MappingsLeft => space.MappingsLeft;

    public List<DeviceVectors> TakeVectors() => [.. Slots.SelectMany(s => s.Devices.Select(d => d.Function.TakeVectors() with { GuestAddress = $"0000:00:{s.Number:x2}.{d.FunctionNumber}" }))];

    public void Dispose()
    {
        lock (_gate)
        {
            _disposed = true;
            foreach (var slot in _slots)
            {
                bus.Clear(slot.Number);
                slot.Dispose();
                foreach (var device in slot.Devices)
                    space.Leave(device.Config);
            }
            Volatile.Write(ref _slots, []);
            space.Dispose();
        }
    }

    /// <summary>Each vector in use is a descriptor, and a device can have 2,048 of them.</summary>
    private static void RaiseDescriptorLimit()
    {
        var limit = ResourceLimit.Get(LimitedResource.OpenFiles);
        if (limit.Soft < limit.Hard)
            ResourceLimit.Set(LimitedResource.OpenFiles, limit with { Soft = limit.Hard });
    }

    private List<DeviceSlot> Add(IReadOnlyList<VfioDeviceConfig> devices, DeviceDescriptors descriptors, Action<IReadOnlyList<OpenedDevice>> place)
    {
        if (_disposed)
            throw new VmmProblemException("vm-not-running", "The VM does not run.", "Its guest has just ended.", "Start the VM.");
        RaiseDescriptorLimit();
        space.Join(devices, descriptors);
        var unused = new List<IDisposable>();
        var made = new List<DeviceSlot>();
        try
        {
            var opened = ParallelOpening.Open(devices, space.Open);
            unused.AddRange(opened.Select(d => d.Device));
            place(opened);
            foreach (var functions in SlotPlan.Of(opened))
            {
                var number = bus.FindFree();
                if (number < 0)
                    throw new VmmProblemException("too-many-devices", "The VM has more devices than its bus has slots.", $"All {PciBus.Slots - 1} slots are taken.", "Assign fewer devices.", "devices");
                var slot = new DeviceSlot(number);
                made.Add(slot);
                foreach (var (function, device) in functions)
                {
                    var assembled = assembly.Assemble(device, number, peers ? space : null);
                    unused.Remove(device.Device);
                    slot.Add(device.Config, function, assembled, device.Device);
                    bus.Set(number, function, assembled);
                }
            }
        }
        catch
        {
            foreach (var slot in made)
            {
                bus.Clear(slot.Number);
                slot.Dispose();
            }
            foreach (var device in unused)
                device.Dispose();
            foreach (var device in devices)
                space.Leave(device);
            throw;
        }
        Volatile.Write(ref _slots, [.. _slots, .. made]);
        return made;
    }
}
