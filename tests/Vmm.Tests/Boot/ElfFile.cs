using System.Buffers.Binary;

namespace Exitless.Vmm.Tests.Boot;

/// <summary>An ELF file with one segment of code and the notes of a PVH guest.</summary>
internal sealed class ElfFile
{
    public const int NotesOffset = 0x200, CodeOffset = 0x1000;

    public byte Class { get; init; } = 2;
    public ushort Machine { get; init; } = 62;
    public byte[] Code { get; init; } = [0xf4];
    public ulong Address { get; init; } = 0x100_0000;
    public ulong MemoryBytes { get; init; } = 0x1_0000;
    public ulong? Entry { get; init; } = 0x100_0000;
    public string? System { get; init; } = "linux";
    /// <summary>Another segment: its address and size, nothing of it in the file.</summary>
    public (ulong Address, ulong Bytes)? Second { get; init; }

    public byte[] ToArray()
    {
        var file = new byte[CodeOffset + Code.Length];
        var span = file.AsSpan();
        byte[] notes = [.. System is null ? [] : Note("GNU\0", 18, [9, 9, 9, 9]), .. System is null ? [] : Note("Xen\0", 6, global::System.Text.Encoding.ASCII.GetBytes(System + "\0")), .. Entry is null ? [] : Note("Xen\0", 18, BitConverter.GetBytes(Entry.Value))];
        "\u007fELF"u8.CopyTo(span);
        (file[4], file[5], file[6]) = (Class, 1, 1);
        BinaryPrimitives.WriteUInt16LittleEndian(span[16..], 2);
        BinaryPrimitives.WriteUInt16LittleEndian(span[18..], Machine);
        BinaryPrimitives.WriteUInt64LittleEndian(span[32..], 64);
        BinaryPrimitives.WriteUInt16LittleEndian(span[54..], 56);
        BinaryPrimitives.WriteUInt16LittleEndian(span[56..], 3);
        Program(span[64..], 1, CodeOffset, Address, (ulong)Code.Length, MemoryBytes);
        Program(span[120..], 4, NotesOffset, 0, (ulong)notes.Length, (ulong)notes.Length);
        if (Second is { } second)
            Program(span[176..], 1, CodeOffset, second.Address, 0, second.Bytes);
        notes.CopyTo(span[NotesOffset..]);
        Code.CopyTo(span[CodeOffset..]);
        return file;
    }

    private static void Program(Span<byte> header, uint kind, ulong offset, ulong address, ulong fileBytes, ulong memoryBytes)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(header, kind);
        BinaryPrimitives.WriteUInt64LittleEndian(header[8..], offset);
        BinaryPrimitives.WriteUInt64LittleEndian(header[16..], 0xffff_ffff_8000_0000 + address);
        BinaryPrimitives.WriteUInt64LittleEndian(header[24..], address);
        BinaryPrimitives.WriteUInt64LittleEndian(header[32..], fileBytes);
        BinaryPrimitives.WriteUInt64LittleEndian(header[40..], memoryBytes);
    }

    private static byte[] Note(string name, uint kind, byte[] content) =>
        [.. BitConverter.GetBytes(name.Length), .. BitConverter.GetBytes(content.Length), .. BitConverter.GetBytes(kind), .. global::System.Text.Encoding.ASCII.GetBytes(name), .. content, .. new byte[(4 - (content.Length % 4)) % 4]];
}
