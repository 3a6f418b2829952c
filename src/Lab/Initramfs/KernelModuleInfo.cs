using System.Buffers.Binary;
using System.Text;

namespace Exitless.Lab.Initramfs;

/// <summary>
/// The <c>.modinfo</c> section of a kernel module (an ELF64 object): strings <c>key=value</c>, of which <c>depends</c> names
/// the modules it needs. The package has no <c>modules.dep</c> (that is made when a kernel is installed), so we read what
/// depmod(8) reads.
/// </summary>
internal sealed record KernelModuleInfo(string Name, IReadOnlyList<string> Depends)
{
    /// <summary>Reads a module that is not compressed.</summary>
    /// <exception cref="LabException">The bytes are no module.</exception>
    public static KernelModuleInfo Read(ReadOnlySpan<byte> module, string file)
    {
        string? name = null;
        string[] depends = [];
        foreach (var entry in Encoding.UTF8.GetString(Section(module, file, ".modinfo"u8)).Split('\0'))
        {
            if (entry.StartsWith("name=", StringComparison.Ordinal))
                name = entry["name=".Length..];
            else if (entry.StartsWith("depends=", StringComparison.Ordinal))
                depends = entry["depends=".Length..].Split(',', StringSplitOptions.RemoveEmptyEntries);
        }
        return new KernelModuleInfo(name ?? throw NoModule(file), depends);
    }

    private static ReadOnlySpan<byte> Section(ReadOnlySpan<byte> elf, string file, ReadOnlySpan<byte> wanted)
    {
        // 7F 45 4C 46 and class 2: ELF64. Offsets: e_shoff 0x28, e_shentsize 0x3A, e_shnum 0x3C, e_shstrndx 0x3E.
        if (elf.Length < 64 || !elf.StartsWith("\u007FELF"u8) || elf[4] != 2)
            throw NoModule(file);
        var table = BinaryPrimitives.ReadUInt64LittleEndian(elf[0x28..]);
        int size = BinaryPrimitives.ReadUInt16LittleEndian(elf[0x3A..]), count = BinaryPrimitives.ReadUInt16LittleEndian(elf[0x3C..]);
        var (names, _) = Place(elf, file, table, size, BinaryPrimitives.ReadUInt16LittleEndian(elf[0x3E..]));
        for (var i = 0; i < count; i++)
        {
            var at = checked((int)table) + i * size;
            var (offset, length) = Place(elf, file, table, size, i);
            var name = elf[(names + (int)BinaryPrimitives.ReadUInt32LittleEndian(elf[at..]))..];
            if (name[..name.IndexOf((byte)0)].SequenceEqual(wanted))
                return elf.Slice(offset, length);
        }
        throw NoModule(file);
    }

    // A section header has sh_offset at 0x18 and sh_size at 0x20.
    private static (int Offset, int Length) Place(ReadOnlySpan<byte> elf, string file, ulong table, int size, int index)
    {
        var at = table + (ulong)(index * size);
        if (size < 64 || at + 64 > (ulong)elf.Length)
            throw NoModule(file);
        var header = elf.Slice((int)at, 64);
        var (offset, length) = (BinaryPrimitives.ReadUInt64LittleEndian(header[0x18..]), BinaryPrimitives.ReadUInt64LittleEndian(header[0x20..]));
        // SHT_NOBITS (8) has a size and no bytes.
        if (BinaryPrimitives.ReadUInt32LittleEndian(header[4..]) == 8)
            length = 0;
        return offset <= (ulong)elf.Length && length <= (ulong)elf.Length - offset ? ((int)offset, (int)length) : throw NoModule(file);
    }

    private static LabException NoModule(string file)
        => new($"{file} is not a kernel module.", "Remove the folder `linux` from the lab's cache and run `exitless-lab prepare` again.");
}
