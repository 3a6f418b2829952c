using Exitless.Linux;
using Exitless.Vmm.Memory;
using Exitless.Vmm.Pci;

namespace Exitless.Vmm.Vfio;

/// <summary>The BARs of one device in the IOMMU, so that other devices of the VM can reach them. It may fail, and then they cannot.</summary>
internal interface IPeerMemory
{
    bool TryMap(ulong guestAddress, ulong size, ulong hostAddress);

    void Unmap(ulong guestAddress, ulong size);
}

/// <summary>One BAR of an assigned device, or its ROM: memslots where the guest may reach the device by itself, traps for the rest.</summary>
internal sealed class AssignedBar : IDisposable
{
    private readonly IMemorySlots _slots;
    private readonly MemorySlotNumbers _numbers;
    private readonly IPeerMemory? _peers;
    private readonly List<Area> _areas = [];

    /// <param name="device">The device.</param>
    /// <param name="description">The BAR as the guest sees it.</param>
    /// <param name="areas">The parts to map, <see cref="BarAreas"/>.</param>
    /// <param name="slots">The VM's memory slots.</param>
    /// <param name="numbers">Their numbers.</param>
    /// <param name="peers">Where other devices find the BAR; null for nowhere.</param>
    public AssignedBar(IVfioDevice device, BarDescription description, IReadOnlyList<(ulong Offset, ulong Size)> areas, IMemorySlots slots, MemorySlotNumbers numbers, IPeerMemory? peers)
    {
        _slots = slots;
        _numbers = numbers;
        _peers = peers;
        Description = description;
        Region = description.IsRom ? device.Rom : device.Bars[description.Index];
        try
        {
            foreach (var (offset, size) in areas)
                _areas.Add(new Area(offset, device.Map(Region, offset, size), numbers.Take()));
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public BarDescription Description { get; }

    public VfioRegion Region { get; }

    public ulong Address { get; private set; }

    /// <summary>True while the BAR answers.</summary>
    public bool Decodes { get; private set; }

    /// <summary>Bytes that the guest reaches without an exit.</summary>
    public ulong MappedBytes => (ulong)_areas.Sum(a => (long)a.Mapping.Length);

    /// <summary>Lets the guest reach the BAR at an address. Outside the windows of the bus nothing answers.</summary>
    public void Map(ulong address)
    {
        Unmap();
        Address = address;
        Decodes = IsInWindow(address);
        if (!Decodes)
            return;
        foreach (var area in _areas)
        {
            // KVM refuses what overlaps RAM or another BAR; such a page is trapped, as the guest asked for it.
            if (_slots.TryAddMemory(area.Slot, address + area.Offset, area.Mapping.Length, area.Mapping.Address))
                area.IsShared = _peers?.TryMap(address + area.Offset, area.Mapping.Length, area.Mapping.Address) ?? false;
        }
    }

    public void Unmap()
    {
        if (!Decodes)
            return;
        Decodes = false;
        foreach (var area in _areas)
        {
            if (area.IsShared)
                _peers?.Unmap(Address + area.Offset, area.Mapping.Length);
            area.IsShared = false;
            _slots.RemoveMemory(area.Slot);
        }
    }

    /// <summary>True if an access meets the BAR where it decodes.</summary>
    public bool Contains(ulong address, int size) => Decodes && address >= Address && address - Address <= Description.Size - (ulong)size && (ulong)size <= Description.Size;

    public void Dispose()
    {
        Unmap();
        foreach (var area in _areas)
        {
            area.Mapping.Dispose();
            _numbers.Give(area.Slot);
        }
        _areas.Clear();
    }

    private bool IsInWindow(ulong address)
    {
        var size = Description.Size;
        if (Description.IsIo)
            return address >= BarPlacement.FirstPort && address + size <= BarPlacement.FirstPort + BarPlacement.Ports;
        return (address >= MemoryMap.FourGibibytes && address + size > address) || (address >= MemoryMap.Mmio32 && address < MemoryMap.Mmio32End && size <= MemoryMap.Mmio32End - address);
    }

    private sealed class Area(ulong offset, Mapping mapping, uint slot)
    {
        public ulong Offset => offset;

        public Mapping Mapping => mapping;

        public uint Slot => slot;

        public bool IsShared { get; set; }
    }
}
