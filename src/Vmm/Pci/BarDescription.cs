namespace Exitless.Vmm.Pci;

/// <summary>One BAR as the guest sees it, or the expansion ROM.</summary>
/// <param name="Index">0 to 5; <see cref="Rom"/>.</param>
/// <param name="Size">Bytes, a power of two.</param>
/// <param name="Flags">The low bits of the register: type and prefetchability.</param>
internal sealed record BarDescription(int Index, ulong Size, uint Flags)
{
    /// <summary>The index of the expansion ROM.</summary>
    public const int Rom = 6;

    public bool IsRom => Index == Rom;

    public bool IsIo => !IsRom && (Flags & 1) != 0;

    public bool Is64Bit => !IsRom && (Flags & 7) == 4;

    /// <summary>Its register in configuration space.</summary>
    public int Register => IsRom ? 0x30 : 0x10 + (4 * Index);

    /// <summary>The bits of the register that hold the address.</summary>
    public uint AddressMask => IsRom ? 0xffff_f800 : IsIo ? 0xffff_fffc : 0xffff_fff0;
}

/// <summary>Where a device's MSI-X structures are.</summary>
/// <param name="Capability">Offset of the capability.</param>
/// <param name="Count">Vectors in the table.</param>
internal sealed record MsixLocation(int Capability, int Count, int TableBar, ulong TableOffset, int PendingBar, ulong PendingOffset)
{
    public ulong TableBytes => (ulong)Count * MsixTable.EntryBytes;

    public ulong PendingBytes => ((ulong)Count + 63) / 64 * 8;
}

/// <summary>Where a device's MSI capability is (PCI Local Bus Specification 3.0, section 6.8.1).</summary>
/// <param name="Capability">Offset of the capability.</param>
/// <param name="Count">Vectors that the device can send.</param>
/// <param name="Is64Bit">True if its message address has 64 bits.</param>
internal sealed record MsiLocation(int Capability, int Count, bool Is64Bit)
{
    /// <summary>Bits of the capability's first dword: enable, and how many vectors the guest chose.</summary>
    public const uint EnableBit = 1 << 16, CountBits = 7 << 20;
}
