using System.Buffers.Binary;
using System.Numerics;
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

    /// <summary>KVM_MAX_IRQ_ROUTES on x86: routes of a VM, and the first GSI that is too large.</summary>
    public const int Most = 4096;

    private readonly IGsiTable _vm;
    private readonly int _most;
    private readonly int _fixed;
    private readonly Lock _gate = new();
    private readonly ulong[] _taken = new ulong[Most / 64];
    private byte[] _table;
    private int _count;

    /// <summary>Sets the IOAPIC's routes.</summary>
    /// <param name="vm">The VM.</param>
    /// <param name="messages">How many messages there is room for without another allocation.</param>
    /// <param name="most">How many routes KVM takes, the pins' among them.</param>
    /// <param name="splitIrqchip">True: the IOAPIC is not KVM's. The pins' GSIs then have no routes but the messages that <see cref="IoApic"/> gives them.</param>
    public GsiRoutes(IGsiTable vm, int messages = 0, int most = Most, bool splitIrqchip = false)
    {
        _vm = vm;
        _fixed = splitIrqchip ? 0 : IoApicPins;
        _most = Math.Min(most, Most);
        _table = Table(Math.Min(IoApicPins + messages, _most));
        for (uint pin = 0; pin < _fixed; pin++)
            Entries[_count++] = new KvmRoutingEntry { Gsi = pin, Type = KvmRoutingEntry.Irqchip, AddressLow = KvmRoutingEntry.IoApic, AddressHigh = pin };
        _taken[0] = (1UL << IoApicPins) - 1;
        if (!Commit())
            throw new LinuxException("KVM_SET_GSI_ROUTING", Ioctl.LastError);
    }

    private Span<KvmRoutingEntry> Entries => MemoryMarshal.Cast<byte, KvmRoutingEntry>(_table.AsSpan(8));

    /// <summary>How many GSIs are taken, those of the IOAPIC's pins included.</summary>
    public int Taken
    {
        get
        {
            lock (_gate)
            {
                var count = 0;
                foreach (var word in _taken)
                    count += BitOperations.PopCount(word);
                return count;
            }
        }
    }

    /// <summary>A GSI that a vector keeps until it is freed; it has no route yet. -1 if there is none left.</summary>
    public int Allocate()
    {
        lock (_gate)
        {
            for (var i = 0; i < _taken.Length; i++)
            {
                if (_taken[i] == ulong.MaxValue)
                    continue;
                var bit = BitOperations.TrailingZeroCount(~_taken[i]);
                if ((i * 64) + bit >= _most)
                    return -1;
                _taken[i] |= 1UL << bit;
                return (i * 64) + bit;
            }
            return -1;
        }
    }

    /// <summary>Takes GSIs back, and their routes with one new table. No irqfd may be left on them.</summary>
    public void Free(ReadOnlySpan<int> gsis)
    {
        lock (_gate)
        {
            var removed = false;
            foreach (var gsi in gsis)
            {
                if (gsi < IoApicPins)
                    continue;
                _taken[gsi / 64] &= ~(1UL << (gsi % 64));
                var index = IndexOf((uint)gsi);
                if (index == _count)
                    continue;
                Entries[index] = Entries[--_count];
                Entries[_count] = default;
                removed = true;
            }
            // A table that is a part of the one in force is never refused but for lack of memory; the old routes then stay and harm nobody.
            if (removed)
                Commit();
        }
    }

    /// <summary>Makes a message the only route of a GSI; does nothing if it is already. Allocates nothing but for a GSI's first route.</summary>
    /// <returns>False if KVM refuses; the routes are then as before.</returns>
    public bool TryRoute(int gsi, ulong address, uint data)
    {
        lock (_gate)
        {
            var entry = new KvmRoutingEntry { Gsi = (uint)gsi, Type = KvmRoutingEntry.Msi, AddressLow = (uint)address, AddressHigh = (uint)(address >> 32), Data = data };
            var index = IndexOf((uint)gsi);
            if (index == _count)
            {
                if (gsi < _fixed || !MakeRoom())
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

    /// <summary>Takes the route of a GSI away; what is signalled on it is lost from now on. Allocates nothing.</summary>
    public void Unroute(int gsi)
    {
        lock (_gate)
        {
            var index = IndexOf((uint)gsi);
            if (index == _count)
                return;
            Entries[index] = Entries[--_count];
            Entries[_count] = default;
            Commit();
        }
    }

    /// <summary>The address of a GSI's message; null if it has none.</summary>
    public ulong? Address(int gsi)
    {
        lock (_gate)
        {
            var index = IndexOf((uint)gsi);
            return index == _count ? null : Entries[index].AddressLow | ((ulong)Entries[index].AddressHigh << 32);
        }
    }

    /// <returns>The place after the last entry if the GSI has none.</returns>
    private int IndexOf(uint gsi)
    {
        for (var i = _fixed; i < _count; i++)
        {
            if (Entries[i].Gsi == gsi)
                return i;
        }
        return _count;
    }

    private bool MakeRoom()
    {
        if (_count < Entries.Length)
            return true;
        if (_count >= _most)
            return false;
        var larger = Table(Math.Min(2 * _count, _most));
        _table.CopyTo(larger, 0);
        _table = larger;
        return true;
    }

    private static byte[] Table(int entries) => new byte[8 + (entries * Marshal.SizeOf<KvmRoutingEntry>())];

    private bool Commit()
    {
        BinaryPrimitives.WriteInt32LittleEndian(_table, _count);
        return _vm.TrySetRoutes(_table);
    }
}
