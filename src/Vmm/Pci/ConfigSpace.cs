using System.Buffers.Binary;

namespace Exitless.Vmm.Pci;

/// <summary>
/// A device's configuration space as the guest sees it, dword by dword: some bits come from the VMM (<i>emulated</i>, of which the guest may
/// change the <i>writable</i> ones), the rest from the device. Allocates nothing once made.
/// </summary>
internal sealed class ConfigSpace
{
    public const int Bytes = 4096;

    private readonly uint[] _value = new uint[Bytes / 4];
    private readonly uint[] _emulated = new uint[Bytes / 4];
    private readonly uint[] _writable = new uint[Bytes / 4];

    /// <summary>Takes bits of one dword over from the device.</summary>
    /// <param name="offset">Aligned to 4.</param>
    /// <param name="mask">Which bits.</param>
    /// <param name="value">What they read as.</param>
    /// <param name="writable">Which of them the guest may change.</param>
    public void Patch(int offset, uint mask, uint value, uint writable = 0)
    {
        var i = offset / 4;
        _emulated[i] |= mask;
        _value[i] = (_value[i] & ~mask) | (value & mask);
        _writable[i] = (_writable[i] & ~mask) | (writable & mask);
    }

    /// <summary>Sets emulated bits, also those that the guest may not change.</summary>
    public void Set(int offset, uint mask, uint value) => _value[offset / 4] = (_value[offset / 4] & ~mask) | (value & mask);

    /// <summary>The emulated bits of a dword as they are now.</summary>
    public uint Value(int offset) => _value[offset / 4];

    /// <summary>True if a read of these bytes needs nothing from the device.</summary>
    public bool IsWhollyEmulated(int offset, int size) => (_emulated[offset / 4] & Lanes(offset, size)) == Lanes(offset, size);

    /// <summary>Puts the emulated bits over what the device says.</summary>
    /// <param name="offset">Any; the bytes do not cross a dword.</param>
    /// <param name="size">1, 2 or 4.</param>
    /// <param name="device">The device's bytes.</param>
    public uint Merge(int offset, int size, uint device)
    {
        var shift = 8 * (offset & 3);
        var emulated = _emulated[offset / 4] >> shift;
        return ((device & ~emulated) | (_value[offset / 4] >> shift & emulated)) & Lanes(0, size);
    }

    /// <summary>Takes what the guest writes into the emulated, writable bits.</summary>
    /// <returns>True if bits of the device are among those written.</returns>
    public bool Write(int offset, int size, uint value)
    {
        var i = offset / 4;
        var lanes = Lanes(offset, size);
        var taken = lanes & _writable[i];
        _value[i] = (_value[i] & ~taken) | (value << (8 * (offset & 3)) & taken);
        return (lanes & ~_emulated[i]) != 0;
    }

    /// <summary>The bits of a dword that an access touches.</summary>
    public static uint Lanes(int offset, int size) => (size == 4 ? uint.MaxValue : (1u << (8 * size)) - 1) << (8 * (offset & 3));

    /// <summary>Little-endian bytes as a number.</summary>
    public static uint FromBytes(ReadOnlySpan<byte> bytes) => bytes.Length switch
    {
        1 => bytes[0],
        2 => BinaryPrimitives.ReadUInt16LittleEndian(bytes),
        _ => BinaryPrimitives.ReadUInt32LittleEndian(bytes),
    };
}
