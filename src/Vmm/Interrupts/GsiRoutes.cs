using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Exitless.Linux;
using Exitless.Linux.Kvm;

namespace Exitless.Vmm.Interrupts;

/// <summary>
/// KVM's GSI routing table: GSIs 0 to 23 are the IOAPIC's pins, each later one is a single MSI message (KVM posts an interrupt only if its GSI
/// has exactly one route). KVM replaces the whole table at once, so all changes go through here. The PIC has no routes: nobody programs it,
/// and an edge on it would reach the boot processor as an exception vector.
/// </summary>
internal sealed class GsiRoutes
{
    public const int IoApicPins = 24;

    private readonly IGsiTable _vm;
    private readonly Lock _gate = new();
    private readonly byte[] _table;
    private int _count;
    private int _nextGsi = IoApicPins;

    /// <summary>Sets the IOAPIC's routes.</summary>
    /// <param name="vm">The VM.</param>
    /// <param name="messages">How many MSI vectors all devices have together: room is made once.</param>
    public GsiRoutes(IGsiTable vm, int messages)
    {
        _vm = vm;
        _table = new byte[8 + ((IoApicPins + messages) * Marshal.SizeOf<KvmRoutingEntry>())];
        for (uint pin = 0; pin < IoApicPins; pin++)
            Entries[_count++] = new KvmRoutingEntry { Gsi = pin, Type = KvmRoutingEntry.Irqchip, AddressLow = KvmRoutingEntry.IoApic, AddressHigh = pin };
        if (!Commit())
            throw new LinuxException("KVM_SET_GSI_ROUTING", Ioctl.LastError);
    }

    private Span<KvmRoutingEntry> Entries => MemoryMarshal.Cast<byte, KvmRoutingEntry>(_table.AsSpan(8));

    /// <summary>The GSI that a vector keeps for its life; it has no route yet.</summary>
    public int Allocate()
    {
        lock (_gate)
            return _nextGsi++;
    }

    /// <summary>Makes a message the only route of a GSI; does nothing if it is already. Allocates nothing.</summary>
    /// <returns>False if KVM refuses; the routes are then as before.</returns>
    public bool TryRoute(int gsi, ulong address, uint data)
    {
        lock (_gate)
        {
            var entry = new KvmRoutingEntry { Gsi = (uint)gsi, Type = KvmRoutingEntry.Msi, AddressLow = (uint)address, AddressHigh = (uint)(address >> 32), Data = data };
            var index = IndexOf((uint)gsi);
            if (index == _count)
            {
                if (_count == Entries.Length)
                    return false;
                _count++;
            }
            else if (Entries[index].AddressLow == entry.AddressLow && Entries[index].AddressHigh == entry.AddressHigh && Entries[index].Data == data)
            {
                return true;
            }
            var before = Entries[index];
            Entries[index] = entry;
            if (Commit())
                return true;
            // The table before is still in force. What KVM refused goes, or it would spoil every later table, for all devices.
            Entries[index] = before;
            if (before.Type == 0)
                _count--;
            return false;
        }
    }

    /// <returns>The place after the last entry if the GSI has none.</returns>
    private int IndexOf(uint gsi)
    {
        for (var i = IoApicPins; i < _count; i++)
        {
            if (Entries[i].Gsi == gsi)
                return i;
        }
        return _count;
    }

    private bool Commit()
    {
        BinaryPrimitives.WriteInt32LittleEndian(_table, _count);
        return _vm.TrySetRoutes(_table);
    }
}
