using System.Buffers.Binary;
using Exitless.Linux;
using Exitless.Vmm.Control;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Boot;

/// <summary>A Linux kernel as a bzImage; its header says how it wants to be loaded (Documentation/arch/x86/boot.rst).</summary>
internal sealed class BzImage
{
    /// <summary>Where the header begins, in the file and in the zero page alike.</summary>
    public const int HeaderOffset = 0x1f1;

    private const int SectorBytes = 512;
    private const int FirstBytes = 4096;
    /// <summary>2.12 is the first protocol whose header tells of the 64-bit entry (xloadflags).</summary>
    private const ushort OldestProtocol = 0x20c;
    private const ushort Kernel64 = 1;

    private BzImage(SafeFileHandle file, byte[] header, long payloadOffset, long payloadBytes)
    {
        File = file;
        Header = header;
        PayloadOffset = payloadOffset;
        PayloadBytes = payloadBytes;
    }

    public SafeFileHandle File { get; }

    /// <summary>The setup header as it is in the file, from <see cref="HeaderOffset"/> on.</summary>
    public byte[] Header { get; }

    /// <summary>Where the protected-mode kernel begins in the file.</summary>
    public long PayloadOffset { get; }

    public long PayloadBytes { get; }

    /// <summary>Where it likes to be.</summary>
    public ulong PreferredAddress => BinaryPrimitives.ReadUInt64LittleEndian(Header.AsSpan(0x258 - HeaderOffset));

    /// <summary>How much memory it needs from there until it can read the memory map.</summary>
    public ulong InitBytes => BinaryPrimitives.ReadUInt32LittleEndian(Header.AsSpan(0x260 - HeaderOffset));

    /// <summary>The longest command line, without the final zero.</summary>
    public int CommandLineLimit => (int)Math.Min(BinaryPrimitives.ReadUInt32LittleEndian(Header.AsSpan(0x238 - HeaderOffset)), 0xffff);

    /// <summary>The highest address that an initrd's last byte may have.</summary>
    public ulong InitrdLimit => BinaryPrimitives.ReadUInt32LittleEndian(Header.AsSpan(0x22c - HeaderOffset));

    /// <summary>Reads and checks the header.</summary>
    /// <exception cref="VmmProblemException">kernel-not-bzimage, kernel-too-old-protocol, kernel-not-64-bit.</exception>
    public static BzImage Read(SafeFileHandle file)
    {
        long size;
        var first = new byte[FirstBytes];
        int count;
        try
        {
            size = Files.Size(file);
            count = Files.ReadAt(file, first, 0);
        }
        catch (LinuxException e)
        {
            throw NotBzImage($"It cannot be read: {e.Message}.");
        }
        if (count < FirstBytes)
            throw NotBzImage($"It has {size:#,0} bytes; a kernel's header alone has {FirstBytes:#,0}.");
        if (BinaryPrimitives.ReadUInt16LittleEndian(first.AsSpan(0x1fe)) != 0xaa55 || !first.AsSpan(0x202, 4).SequenceEqual("HdrS"u8))
            throw NotBzImage(first.AsSpan(0, 4).SequenceEqual("\x7f"u8) || first.AsSpan(1, 3).SequenceEqual("ELF"u8) ? "It is an ELF file (an uncompressed vmlinux, perhaps)." : "It lacks the signatures 0xAA55 at 0x1FE and HdrS at 0x202.");
        var protocol = BinaryPrimitives.ReadUInt16LittleEndian(first.AsSpan(0x206));
        if (protocol < OldestProtocol)
        {
            throw new VmmProblemException("kernel-too-old-protocol", "The kernel is too old.",
                $"It speaks boot protocol {protocol >> 8}.{protocol & 0xff:00}; {OldestProtocol >> 8}.{OldestProtocol & 0xff:00} (Linux 3.8) or later is needed.", "Choose a newer kernel.", "kernel");
        }
        if ((BinaryPrimitives.ReadUInt16LittleEndian(first.AsSpan(0x236)) & Kernel64) == 0)
            throw new VmmProblemException("kernel-not-64-bit", "The kernel has no 64-bit entry.", "Its header does not have XLF_KERNEL_64.", "Choose an x86-64 kernel.", "kernel");
        if ((first[0x211] & 1) == 0)
            throw NotBzImage("It is a zImage, which loads below 1 MiB.");
        var sectors = first[HeaderOffset] == 0 ? 4 : first[HeaderOffset];
        var payload = (sectors + 1L) * SectorBytes;
        if (payload >= size)
            throw NotBzImage($"It ends at {size:#,0} bytes, before its protected-mode part at {payload:#,0}.");
        var headerEnd = 0x202 + first[0x201];
        if (headerEnd < 0x264)
            throw NotBzImage($"Its header ends at 0x{headerEnd:x}; protocol 2.12 has 0x264.");
        return new BzImage(file, first[HeaderOffset..headerEnd], payload, size - payload);
    }

    private static VmmProblemException NotBzImage(string detail) =>
        new("kernel-not-bzimage", "The kernel's file is not a Linux bzImage.", detail, "Choose a distribution's vmlinuz, or arch/x86/boot/bzImage of a build.", "kernel");
}
