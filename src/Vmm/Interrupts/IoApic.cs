using Exitless.Vmm.Memory;

namespace Exitless.Vmm.Interrupts;

/// <summary>
/// The IOAPIC of a VM with a split irqchip (Intel 82093AA; register map and redirection entries as there, 24 pins): KVM has the local APICs alone, and each pin that the guest opens becomes a
/// message, the only route of the pin's GSI. All pins are driven by eventfds, so each signal is an edge; nothing is held, and KVM need not tell of the end of an interrupt.
/// Allocates nothing once the routes have room.
/// </summary>
internal sealed class IoApic(GsiRoutes routes)
{
    /// <summary>Bytes of its window.</summary>
    public const ulong Size = 0x1000;

    private const int Pins = GsiRoutes.IoApicPins;
    private const ulong Select = 0, Window = 0x10;
    private const uint Version = 1, VersionValue = ((Pins - 1) << 16) | 0x11, FirstEntry = 0x10;
    // Bits of an entry: 12 (delivery status) and 14 (remote IRR) are the hardware's.
    private const ulong Masked = 1 << 16, ReadOnlyBits = (1 << 12) | (1 << 14);
    private const ulong ExternalInterrupt = 7 << 8;

    private readonly Lock _gate = new();
    private readonly ulong[] _entries = Fresh();
    private uint _selected;
    private uint _id;

    /// <summary>Reads a register; anything but four aligned bytes of one that is there gives zero.</summary>
    public uint Read(ulong offset, int size)
    {
        lock (_gate)
        {
            return size != 4 ? 0 : offset switch
            {
                Select => _selected,
                Window => Register(),
                _ => 0,
            };
        }
    }

    /// <summary>Writes a register; anything else is lost.</summary>
    public void Write(ulong offset, int size, uint value)
    {
        if (size != 4)
            return;
        lock (_gate)
        {
            if (offset == Select)
                _selected = value & 0xff;
            else if (offset == Window && _selected == 0)
                _id = value & 0x0f00_0000;
            else if (offset == Window && _selected - FirstEntry < 2 * Pins)
                WriteEntry((int)(_selected - FirstEntry) / 2, (_selected & 1) != 0, value);
        }
    }

    /// <summary>Back to what power-on leaves: every pin masked.</summary>
    public void Reset()
    {
        lock (_gate)
        {
            (_selected, _id) = (0, 0);
            for (var pin = 0; pin < Pins; pin++)
            {
                _entries[pin] = Masked;
                routes.Unroute(pin);
            }
        }
    }

    private uint Register() => _selected switch
    {
        0 or 2 => _id,   // the arbitration id follows the id
        Version => VersionValue,
        _ when _selected - FirstEntry < 2 * Pins => (uint)(_entries[(_selected - FirstEntry) / 2] >> (int)(32 * (_selected & 1))),
        _ => 0,
    };

    private void WriteEntry(int pin, bool upper, uint value)
    {
        var entry = _entries[pin];
        entry = upper ? (entry & 0xffff_ffff) | (ulong)value << 32 : (entry & ~0xffff_fffful) | (value & ~ReadOnlyBits & 0x1_ffff);
        if (entry == _entries[pin])
            return;
        _entries[pin] = entry;
        // There is no 8259 whose vector an external interrupt would fetch.
        if ((entry & Masked) != 0 || (entry & ExternalInterrupt) == ExternalInterrupt)
            routes.Unroute(pin);
        else
            routes.TryRoute(pin, MemoryMap.LocalApic | (entry >> 56) << 12 | (entry >> 11 & 1) << 2, (uint)entry & 0x7ff);
    }

    private static ulong[] Fresh()
    {
        var entries = new ulong[Pins];
        Array.Fill(entries, Masked);
        return entries;
    }
}
