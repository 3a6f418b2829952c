using Exitless.Linux;
using Exitless.Vmm.Memory;
using Exitless.Vmm.Pci;

namespace Exitless.Vmm.Vfio;

/// <summary>One BAR of an assigned device: memslots where the guest may reach the device by itself, traps for the rest.</summary>
internal sealed class AssignedBar : IDisposable
{
    private readonly IMemorySlots _slots;
    private readonly List<(ulong Offset, uint Slot, Mapping Mapping)> _areas = [];
    private bool _decodes;

    /// <param name="device">The device.</param>
    /// <param name="description">The BAR.</param>
    /// <param name="address">Where it is at first.</param>
    /// <param name="areas">The parts to map, <see cref="BarAreas"/>.</param>
    /// <param name="slots">The VM's memory slots.</param>
    /// <param name="nextSlot">The next free slot; moved on.</param>
    public AssignedBar(IVfioDevice device, BarDescription description, ulong address, IReadOnlyList<(ulong Offset, ulong Size)> areas, IMemorySlots slots, ref uint nextSlot)
    {
        _slots = slots;
        Description = description;
        Region = device.Bars[description.Index];
        Address = address;
        try
        {
            foreach (var (offset, size) in areas)
                _areas.Add((offset, nextSlot++, device.Map(Region, offset, size)));
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

    /// <summary>Lets the guest reach the BAR at an address. Outside the windows of the bus nothing answers.</summary>
    public void Map(ulong address)
    {
        Unmap();
        Address = address;
        _decodes = IsInWindow(address, Description.Size);
        if (!_decodes)
            return;
        foreach (var (offset, slot, mapping) in _areas)
        {
            // KVM refuses what overlaps RAM or another BAR; such a page is trapped, as the guest asked for it.
            _slots.TryAddMemory(slot, address + offset, mapping.Length, mapping.Address);
        }
    }

    public void Unmap()
    {
        if (!_decodes)
            return;
        _decodes = false;
        foreach (var (_, slot, _) in _areas)
            _slots.RemoveMemory(slot);
    }

    /// <summary>True if an access meets the BAR where it decodes.</summary>
    public bool Contains(ulong address, int size) => _decodes && address >= Address && address - Address <= Description.Size - (ulong)size;

    private static bool IsInWindow(ulong address, ulong size) =>
        address >= MemoryMap.FourGibibytes || (address >= MemoryMap.Mmio32 && address < MemoryMap.Mmio32End && size <= MemoryMap.Mmio32End - address);

    public void Dispose()
    {
        Unmap();
        foreach (var (_, _, mapping) in _areas)
            mapping.Dispose();
        _areas.Clear();
    }
}
