using System.Buffers.Binary;
using System.Numerics;
using Exitless.Vmm.Control;
using Exitless.Vmm.Kvm;
using Exitless.Vmm.Memory;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Boot;

/// <summary>A Linux kernel as a bzImage; its header says how it wants to be loaded (Documentation/arch/x86/boot.rst).</summary>
internal sealed class BzImage : GuestKernel
{
    /// <summary>Where the header begins, in the file and in the zero page alike.</summary>
    public const int HeaderOffset = 0x1f1;

    /// <summary>How much of the file <see cref="Parse"/> wants to see; a shorter file is given whole.</summary>
    public const int HeadBytes = 4096;

    private const ulong Entry64 = 0x200;
    private const int SectorBytes = 512;
    private const int ParagraphBytes = 16;
    private const int SignatureOffset = 0x1fe, MagicOffset = 0x202;
    /// <summary>The end of init_size, the last field that is read here.</summary>
    private const int HeaderEndLeast = 0x264;
    /// <summary>In the zero page other fields begin here.</summary>
    private const int HeaderEndMost = 0x290;
    /// <summary>2.12 is the first protocol whose header tells of the 64-bit entry (xloadflags).</summary>
    private const ushort OldestProtocol = 0x20c;
    private const ushort Kernel64 = 1;

    private BzImage(byte[] header, long payloadOffset, long payloadBytes)
    {
        Header = header;
        PayloadOffset = payloadOffset;
        PayloadBytes = payloadBytes;
    }

    /// <summary>The setup header as it is in the file, from <see cref="HeaderOffset"/> on.</summary>
    public byte[] Header { get; }

    /// <summary>Where the protected-mode kernel begins in the file.</summary>
    public long PayloadOffset { get; }

    /// <summary>Its size as the header gives it; behind it a file may carry a signature.</summary>
    public long PayloadBytes { get; }

    /// <summary>Where it is loaded: where it likes to be or, if it likes to be below 1 MiB and can move, the next place that suits it.</summary>
    public override ulong LoadAddress => PreferredAddress >= MemoryMap.OneMebibyte ? PreferredAddress : Math.Max(Alignment, MemoryMap.OneMebibyte);

    /// <summary>How much memory it needs from there until it can read the memory map.</summary>
    public override ulong InitBytes => Math.Max(U32(0x260), (ulong)PayloadBytes);

    /// <summary>The longest command line, without the final zero.</summary>
    public override int CommandLineLimit => (int)Math.Min(U32(0x238), 0xffff);

    /// <summary>The highest address that an initrd's last byte may have.</summary>
    public override ulong InitrdLimit => U32(0x22c);

    private ulong PreferredAddress => BinaryPrimitives.ReadUInt64LittleEndian(Header.AsSpan(0x258 - HeaderOffset));

    private uint Alignment => U32(0x230);

    private bool IsRelocatable => Header[0x234 - HeaderOffset] != 0;

    /// <summary>Reads and checks the header.</summary>
    /// <exception cref="VmmProblemException">kernel-unreadable, kernel-not-bzimage, kernel-protocol-too-old, kernel-not-64-bit, kernel-truncated.</exception>
    public static new BzImage Read(SafeFileHandle file)
    {
        var kernel = new BootFile(file, "kernel");
        var length = kernel.Length();
        var head = new byte[HeadBytes];
        return Parse(head.AsSpan(0, kernel.ReadHead(head)), length);
    }

    public override void Load(GuestMemory memory, BootFile file, BootPlan plan)
    {
        file.Load(memory, PayloadOffset, LoadAddress, PayloadBytes);
        ZeroPage.Fill(memory.Slice(MemoryMap.ZeroPage, ZeroPage.Bytes), Header, plan, memory.Ranges, MemoryMap.AcpiTables);
        LongMode.WriteTables(memory);
    }

    public override void Enter(KvmVcpu vcpu) => LongMode.Enter(vcpu, LoadAddress + Entry64);

    /// <summary>Checks the header in a file's first bytes.</summary>
    /// <param name="head">The first <see cref="HeadBytes"/>, or all of a shorter file.</param>
    /// <param name="fileBytes">The size of the whole file.</param>
    /// <exception cref="VmmProblemException">kernel-not-bzimage, kernel-protocol-too-old, kernel-not-64-bit, kernel-truncated.</exception>
    public static BzImage Parse(ReadOnlySpan<byte> head, long fileBytes)
    {
        if (head.Length < SignatureOffset + 2 || BinaryPrimitives.ReadUInt16LittleEndian(head[SignatureOffset..]) != 0xaa55)
            throw NotBzImage(FoundInstead.Describe(head));
        if (head.Length < MagicOffset + 4 || !head.Slice(MagicOffset, 4).SequenceEqual("HdrS"u8))
            throw NotBzImage("It has a boot sector, but no Linux setup header (HdrS at 0x202).");
        if (head.Length < HeaderEndMost)
            throw Truncated(fileBytes, HeaderEndMost);
        var protocol = BinaryPrimitives.ReadUInt16LittleEndian(head[0x206..]);
        if (protocol < OldestProtocol)
        {
            throw new VmmProblemException("kernel-protocol-too-old", "The kernel is too old.",
                $"It speaks boot protocol {protocol >> 8}.{protocol & 0xff:00}; {OldestProtocol >> 8}.{OldestProtocol & 0xff:00} (Linux 3.8) or later is needed.", "Choose a newer kernel.", "kernel");
        }
        if ((BinaryPrimitives.ReadUInt16LittleEndian(head[0x236..]) & Kernel64) == 0)
            throw new VmmProblemException("kernel-not-64-bit", "The kernel has no 64-bit entry.", "Its header does not have XLF_KERNEL_64.", "Choose an x86-64 kernel.", "kernel");
        if ((head[0x211] & 1) == 0)
            throw NotBzImage("It is a zImage, which loads below 1 MiB.");
        var headerEnd = MagicOffset + head[0x201];
        if (headerEnd < HeaderEndLeast)
            throw NotBzImage($"Its header ends at 0x{headerEnd:x}; init_size ends at 0x{HeaderEndLeast:x}.");

        var sectors = head[HeaderOffset] == 0 ? 4 : head[HeaderOffset];
        var payloadOffset = (sectors + 1L) * SectorBytes;
        var payloadBytes = (long)BinaryPrimitives.ReadUInt32LittleEndian(head[0x1f4..]) * ParagraphBytes;
        if (payloadBytes == 0)
            throw NotBzImage("Its header says that its protected-mode part is empty.");
        if (fileBytes < payloadOffset + payloadBytes)
            throw Truncated(fileBytes, payloadOffset + payloadBytes);
        var image = new BzImage(head[HeaderOffset..Math.Min(headerEnd, HeaderEndMost)].ToArray(), payloadOffset, payloadBytes);
        if (image.IsRelocatable ? !BitOperations.IsPow2(image.Alignment) : image.PreferredAddress < MemoryMap.OneMebibyte)
            throw NotBzImage($"Its header gives no usable load address (preferred 0x{image.PreferredAddress:x}, alignment 0x{image.Alignment:x}).");
        return image;
    }

    private static VmmProblemException NotBzImage(string detail) =>
        new("kernel-not-bzimage", "The kernel's file is not a Linux bzImage.", detail, "Choose a distribution's vmlinuz, or vmlinux or arch/x86/boot/bzImage of a build. Guests other than Linux are not supported.", "kernel");

    private static VmmProblemException Truncated(long actual, long needed) =>
        new("kernel-truncated", "The kernel's file is incomplete.", $"It has {actual:#,0} bytes; its header promises {needed:#,0}.", "Copy it again.", "kernel");

    private uint U32(int offset) => BinaryPrimitives.ReadUInt32LittleEndian(Header.AsSpan(offset - HeaderOffset));
}
