namespace Exitless.Vmm.Pci;

/// <summary>What happens to the vectors of a device when the guest changes its MSI-X table. Called under the device's lock.</summary>
internal interface IMsixVectors
{
    /// <summary>MSI-X is switched on; no vector is open yet.</summary>
    void Enable();

    /// <summary>A vector may deliver this message from now on; also called when an open vector's message changes.</summary>
    void Open(int vector, ulong address, uint data);

    /// <summary>A vector is masked: what it fires from now on stays pending.</summary>
    void Close(int vector);

    /// <summary>MSI-X is switched off: no vector is in use any more and nothing is pending.</summary>
    void Disable();

    /// <summary>True if a closed vector has fired.</summary>
    bool IsPending(int vector);
}

/// <summary>
/// The MSI-X table, pending bits and message control of one device, as the guest sees them (PCI Express Base Specification, section 7.7.2).
/// A vector is open while MSI-X is enabled and neither the function nor the vector is masked. Allocates nothing once made.
/// </summary>
internal sealed class MsixTable(int count, IMsixVectors vectors)
{
    public const int EntryBytes = 16;
    /// <summary>Bits 15 and 14 of message control.</summary>
    public const ushort EnableBit = 0x8000, FunctionMaskBit = 0x4000;
    private const uint MaskBit = 1;

    private readonly Entry[] _entries = Fresh(count);
    private bool _enabled;
    private bool _functionMasked;

    public int Count => _entries.Length;

    public bool IsMasked(int vector) => _functionMasked || (_entries[vector].Control & MaskBit) != 0;

    /// <summary>The guest writes message control.</summary>
    public void SetControl(bool enabled, bool functionMasked)
    {
        var wasEnabled = _enabled;
        (_enabled, _functionMasked) = (enabled, functionMasked);
        if (wasEnabled && !enabled)
        {
            foreach (ref var entry in _entries.AsSpan())
                entry.IsOpen = false;
            vectors.Disable();
            return;
        }
        if (!wasEnabled && enabled)
            vectors.Enable();
        for (var i = 0; i < _entries.Length; i++)
            Update(i, messageChanged: false);
    }

    /// <summary>Back to what a reset leaves: disabled, every vector masked.</summary>
    public void Reset()
    {
        SetControl(enabled: false, functionMasked: false);
        foreach (ref var entry in _entries.AsSpan())
            entry = new Entry { Control = MaskBit };
    }

    /// <summary>Reads 4 or 8 aligned bytes of the table; anything else gives all ones.</summary>
    public ulong ReadTable(ulong offset, int size)
    {
        if (!IsRegular(offset, size, (ulong)_entries.Length * EntryBytes))
            return ulong.MaxValue;
        return size == 4 ? Word(offset) : Word(offset) | (ulong)Word(offset + 4) << 32;
    }

    /// <summary>Writes 4 or 8 aligned bytes of the table; anything else is ignored.</summary>
    public void WriteTable(ulong offset, int size, ulong value)
    {
        if (!IsRegular(offset, size, (ulong)_entries.Length * EntryBytes))
            return;
        var vector = (int)(offset / EntryBytes);
        var changed = SetWord(offset, (uint)value);
        if (size == 8)
            changed |= SetWord(offset + 4, (uint)(value >> 32));
        Update(vector, changed);
    }

    /// <summary>Reads 4 or 8 aligned bytes of the pending bits; anything else gives all ones.</summary>
    public ulong ReadPending(ulong offset, int size)
    {
        if (!IsRegular(offset, size, ((ulong)_entries.Length + 63) / 64 * 8))
            return ulong.MaxValue;
        ulong bits = 0;
        var first = (int)offset * 8;
        for (var i = 0; i < size * 8 && first + i < _entries.Length; i++)
        {
            if (_enabled && !_entries[first + i].IsOpen && vectors.IsPending(first + i))
                bits |= 1UL << i;
        }
        return bits;
    }

    private static bool IsRegular(ulong offset, int size, ulong bytes) => size is 4 or 8 && offset % (ulong)size == 0 && offset + (ulong)size <= bytes;

    private static Entry[] Fresh(int count)
    {
        var entries = new Entry[count];
        Array.Fill(entries, new Entry { Control = MaskBit });
        return entries;
    }

    private uint Word(ulong offset)
    {
        ref readonly var entry = ref _entries[offset / EntryBytes];
        return (offset % EntryBytes) switch { 0 => (uint)entry.Address, 4 => (uint)(entry.Address >> 32), 8 => entry.Data, _ => entry.Control };
    }

    /// <returns>True if the message is another one now.</returns>
    private bool SetWord(ulong offset, uint value)
    {
        ref var entry = ref _entries[offset / EntryBytes];
        var before = (entry.Address, entry.Data);
        switch (offset % EntryBytes)
        {
            case 0:
                entry.Address = (entry.Address & 0xffffffff00000000) | (value & ~3u);
                break;
            case 4:
                entry.Address = (uint)entry.Address | (ulong)value << 32;
                break;
            case 8:
                entry.Data = value;
                break;
            default:
                entry.Control = value & MaskBit;
                break;
        }
        return before != (entry.Address, entry.Data);
    }

    private void Update(int vector, bool messageChanged)
    {
        ref var entry = ref _entries[vector];
        var open = _enabled && !IsMasked(vector);
        if (open && (!entry.IsOpen || messageChanged))
            vectors.Open(vector, entry.Address, entry.Data);
        else if (!open && entry.IsOpen)
            vectors.Close(vector);
        entry.IsOpen = open;
    }

    private struct Entry
    {
        public ulong Address;
        public uint Data;
        public uint Control;
        public bool IsOpen;
    }
}
