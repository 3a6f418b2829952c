using System.Buffers.Binary;
using Exitless.Vmm.Control;
using Exitless.Vmm.Kvm;
using Exitless.Vmm.Memory;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Boot;

/// <summary>
/// A Linux kernel as an ELF file (vmlinux), entered as a PVH guest: the note XEN_ELFNOTE_PHYS32_ENTRY names a 32-bit entry without paging
/// (Xen's docs/misc/pvh.pandoc; Linux with CONFIG_PVH). What the file says is checked whole before anything is loaded.
/// </summary>
internal sealed class PvhKernel : GuestKernel
{
    private const int HeaderBytes = 64, ProgramHeaderBytes = 56, MaxProgramHeaders = 128;
    private const uint Load1 = 1, Note = 4;
    /// <summary>COMMAND_LINE_SIZE of x86, less the final zero.</summary>
    private const int LinuxCommandLine = 2047;

    private readonly IReadOnlyList<Segment> _segments;
    private readonly uint _entry;

    private PvhKernel(IReadOnlyList<Segment> segments, uint entry)
    {
        _segments = segments;
        _entry = entry;
        LoadAddress = segments.Min(s => s.Address);
        InitBytes = segments.Max(s => s.Address + s.MemoryBytes) - LoadAddress;
    }

    public override ulong LoadAddress { get; }

    public override ulong InitBytes { get; }

    public override int CommandLineLimit => LinuxCommandLine;

    /// <summary>Linux keeps the initrd's address in 32 bits.</summary>
    public override ulong InitrdLimit => uint.MaxValue;

    /// <summary>Reads and checks the file's headers and notes.</summary>
    /// <exception cref="VmmProblemException">kernel-unreadable, kernel-not-64-bit, kernel-not-pvh, kernel-not-linux, kernel-truncated, kernel-malformed.</exception>
    public static new PvhKernel Read(SafeFileHandle file)
    {
        var source = new BootFile(file, "kernel");
        var length = source.Length();
        var header = new byte[HeaderBytes];
        if (source.ReadHead(header) < HeaderBytes)
            throw Truncated(length, HeaderBytes);
        CheckHeader(header);
        var programs = ProgramHeaders(source, header, length);
        var segments = new List<Segment>();
        var notes = new PvhNotes();
        for (var at = 0; at < programs.Length; at += ProgramHeaderBytes)
        {
            var program = programs.AsSpan(at, ProgramHeaderBytes);
            var kind = BinaryPrimitives.ReadUInt32LittleEndian(program);
            var segment = new Segment(U64(program, 8), U64(program, 24), U64(program, 32), U64(program, 40));
            if (kind is not (Load1 or Note) || segment.MemoryBytes == 0 && kind == Load1)
                continue;
            if (segment.Offset > (ulong)length || segment.FileBytes > (ulong)length - segment.Offset)
                throw Truncated(length, segment.Offset > long.MaxValue || segment.FileBytes > long.MaxValue ? long.MaxValue : (long)segment.Offset + (long)segment.FileBytes);
            if (kind == Note)
                notes.Take(source, (long)segment.Offset, (long)segment.FileBytes);
            else
                segments.Add(Checked(segment));
        }
        return new PvhKernel(Ordered(segments), Entry(notes, segments));
    }

    public override void Load(GuestMemory memory, BootFile file, BootPlan plan)
    {
        foreach (var segment in _segments)
        {
            file.Load(memory, (long)segment.Offset, segment.Address, (long)segment.FileBytes);
            // After a reset the memory is not empty any more.
            for (var at = segment.FileBytes; at < segment.MemoryBytes;)
            {
                var part = (int)Math.Min(segment.MemoryBytes - at, 1 << 30);
                memory.Slice(segment.Address + at, part).Clear();
                at += (ulong)part;
            }
        }
        PvhStartInfo.Fill(memory.Slice(MemoryMap.ZeroPage, PvhStartInfo.Bytes), plan, memory.Ranges);
    }

    public override void Enter(KvmVcpu vcpu) => ProtectedMode.Enter(vcpu, _entry, MemoryMap.ZeroPage);

    private static void CheckHeader(ReadOnlySpan<byte> header)
    {
        const byte class64 = 2, littleEndian = 1;
        const ushort x86 = 62;
        var machine = BinaryPrimitives.ReadUInt16LittleEndian(header[18..]);
        if (header[4] != class64 || header[5] != littleEndian || machine != x86)
        {
            throw new VmmProblemException("kernel-not-64-bit", "The kernel is not one for x86-64.",
                $"It is an ELF file of {(header[4] == class64 ? 64 : 32)} bits for machine {machine}; 64 bits and machine {x86} are needed.", "Choose an x86-64 kernel.", "kernel");
        }
        if (BinaryPrimitives.ReadUInt16LittleEndian(header[54..]) != ProgramHeaderBytes)
            throw Malformed($"Its program headers have {BinaryPrimitives.ReadUInt16LittleEndian(header[54..])} bytes each; {ProgramHeaderBytes} are right.");
    }

    private static byte[] ProgramHeaders(BootFile source, ReadOnlySpan<byte> header, long length)
    {
        var offset = U64(header, 32);
        int count = BinaryPrimitives.ReadUInt16LittleEndian(header[56..]);
        if (count is 0 or > MaxProgramHeaders)
            throw Malformed($"It has {count} program headers; 1 to {MaxProgramHeaders} are taken.");
        var bytes = new byte[count * ProgramHeaderBytes];
        if (offset > (ulong)length || (ulong)bytes.Length > (ulong)length - offset)
            throw Truncated(length, offset > long.MaxValue - (ulong)bytes.Length ? long.MaxValue : (long)offset + bytes.Length);
        source.ReadAt(bytes, (long)offset);
        return bytes;
    }

    private static Segment Checked(Segment segment)
    {
        if (segment.FileBytes > segment.MemoryBytes)
            throw Malformed($"A segment has {segment.FileBytes:#,0} bytes in the file and only {segment.MemoryBytes:#,0} in memory.");
        if (segment.Address < MemoryMap.OneMebibyte)
            throw Malformed($"A segment is to be loaded at 0x{segment.Address:x}, below 1 MiB.");
        if (segment.Address >= MemoryMap.PciHole || segment.MemoryBytes > MemoryMap.PciHole - segment.Address)
        {
            throw new VmmProblemException("kernel-too-large", "The kernel does not fit below 3 GiB.",
                $"It wants {segment.MemoryBytes:#,0} bytes at 0x{segment.Address:x}; the memory that a kernel can start in ends at 0x{MemoryMap.PciHole:x}.",
                "Choose a kernel with the usual load address (CONFIG_PHYSICAL_START).", "kernel");
        }
        return segment;
    }

    private static List<Segment> Ordered(List<Segment> segments)
    {
        if (segments.Count == 0)
            throw Malformed("Nothing of it is to be loaded.");
        var ordered = segments.OrderBy(s => s.Address).ToList();
        for (var i = 1; i < ordered.Count; i++)
        {
            if (ordered[i - 1].Address + ordered[i - 1].MemoryBytes > ordered[i].Address)
                throw Malformed($"Its segments at 0x{ordered[i - 1].Address:x} and 0x{ordered[i].Address:x} overlap.");
        }
        return ordered;
    }

    private static uint Entry(PvhNotes notes, List<Segment> segments)
    {
        if (notes.System is { } system && !string.Equals(system, "linux", StringComparison.OrdinalIgnoreCase))
        {
            throw new VmmProblemException("kernel-not-linux", "The kernel is not Linux.", $"Its notes say that it is {system}.",
                "Choose a Linux kernel. Guests other than Linux are not supported.", "kernel");
        }
        if (notes.Entry is not { } entry)
        {
            throw new VmmProblemException("kernel-not-pvh", "The kernel's file has no entry that this VMM knows.",
                "It is an ELF file without the note XEN_ELFNOTE_PHYS32_ENTRY: a vmlinux that was built without CONFIG_PVH, or something else.",
                "Choose a distribution's vmlinuz, or a vmlinux built with CONFIG_PVH. Guests other than Linux are not supported.", "kernel");
        }
        if (!segments.Any(s => entry >= s.Address && entry - s.Address < s.FileBytes))
            throw Malformed($"Its entry, 0x{entry:x}, is in no segment.");
        return (uint)entry;
    }

    private static ulong U64(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadUInt64LittleEndian(bytes[offset..]);

    private static VmmProblemException Truncated(long actual, long needed) =>
        new("kernel-truncated", "The kernel's file is incomplete.", $"It has {actual:#,0} bytes; its headers promise {needed:#,0}.", "Copy it again.", "kernel");

    private static VmmProblemException Malformed(string detail) =>
        new("kernel-malformed", "The kernel's ELF headers make no sense.", detail, "Copy it again, or choose another kernel.", "kernel");

    /// <summary>A part of the file and its place in memory.</summary>
    private readonly record struct Segment(ulong Offset, ulong Address, ulong FileBytes, ulong MemoryBytes);
}
