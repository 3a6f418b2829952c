using System.Buffers.Binary;

namespace Exitless.Vmm.Boot.FromDisk;

/// <summary>One partition.</summary>
/// <param name="Number">As Linux counts them.</param>
/// <param name="Start">First byte on the disk.</param>
/// <param name="Bytes">Its size.</param>
/// <param name="Kind">The type as the table has it, for messages.</param>
internal readonly record struct Partition(int Number, long Start, long Bytes, string Kind);

/// <summary>Reads GPT (UEFI specification, section 5.3) and MBR partition tables with their logical partitions. Entries that do not lie on the disk are left out.</summary>
internal static class PartitionTable
{
    private const int Sector = 512, MostEntries = 256, MostLogical = 64;
    private const byte GptProtective = 0xee;
    private static readonly byte[] Extended = [0x05, 0x0f, 0x85];

    /// <summary>The partitions in the table's order; a disk without a table is one partition, number 0.</summary>
    public static List<Partition> Read(DiskBytes disk)
    {
        Span<byte> sector = stackalloc byte[Sector];
        if (disk.Length < 2 * Sector)
            return [];
        disk.Read(0, sector);
        if (sector[510] != 0x55 || sector[511] != 0xaa)
            return [new Partition(0, 0, disk.Length, "whole disk")];
        for (var i = 0; i < 4; i++)
        {
            if (sector[446 + (16 * i) + 4] == GptProtective)
                return Gpt(disk);
        }
        return Mbr(disk, sector);
    }

    private static List<Partition> Gpt(DiskBytes disk)
    {
        var found = new List<Partition>();
        Span<byte> header = stackalloc byte[Sector];
        disk.Read(Sector, header);
        if (!header[..8].SequenceEqual("EFI PART"u8))
            return found;
        var at = BinaryPrimitives.ReadUInt64LittleEndian(header[72..]);
        var count = BinaryPrimitives.ReadUInt32LittleEndian(header[80..]);
        var size = BinaryPrimitives.ReadUInt32LittleEndian(header[84..]);
        if (size is < 128 or > 4096 || count > MostEntries || at > (ulong)disk.Length / Sector)
            return found;
        Span<byte> entry = stackalloc byte[128];
        for (var i = 0; i < count; i++)
        {
            var offset = ((long)at * Sector) + (i * size);
            if (offset > disk.Length - entry.Length)
                break;
            disk.Read(offset, entry);
            if (entry[..16].IndexOfAnyExcept((byte)0) < 0)
                continue;
            var first = BinaryPrimitives.ReadUInt64LittleEndian(entry[32..]);
            var last = BinaryPrimitives.ReadUInt64LittleEndian(entry[40..]);
            if (last >= first && last < ulong.MaxValue)
                Add(found, disk, i + 1, first, last - first + 1, $"GPT {new Guid(entry[..16])}");
        }
        return found;
    }

    private static List<Partition> Mbr(DiskBytes disk, ReadOnlySpan<byte> sector)
    {
        var found = new List<Partition>();
        for (var i = 0; i < 4; i++)
        {
            var (kind, first, count) = Entry(sector, i);
            if (Extended.Contains(kind))
                Logical(disk, first, found);
            else if (kind != 0)
                Add(found, disk, i + 1, first, count, $"MBR 0x{kind:x2}");
        }
        return found;
    }

    /// <summary>A chain of tables with one logical partition each; a chain in a circle ends at the most that are read.</summary>
    private static void Logical(DiskBytes disk, uint container, List<Partition> found)
    {
        Span<byte> sector = stackalloc byte[Sector];
        ulong at = container;
        for (var i = 0; i < MostLogical && at < (ulong)disk.Length / Sector; i++)
        {
            disk.Read((long)at * Sector, sector);
            if (sector[510] != 0x55 || sector[511] != 0xaa)
                return;
            var (kind, first, count) = Entry(sector, 0);
            if (kind != 0)
                Add(found, disk, 5 + i, at + first, count, $"MBR 0x{kind:x2}");
            var (nextKind, next, _) = Entry(sector, 1);
            if (nextKind == 0 || next == 0)
                return;
            at = (ulong)container + next;
        }
    }

    private static (byte Kind, uint First, uint Count) Entry(ReadOnlySpan<byte> sector, int index)
    {
        var entry = sector.Slice(446 + (16 * index), 16);
        return (entry[4], BinaryPrimitives.ReadUInt32LittleEndian(entry[8..]), BinaryPrimitives.ReadUInt32LittleEndian(entry[12..]));
    }

    private static void Add(List<Partition> found, DiskBytes disk, int number, ulong first, ulong count, string kind)
    {
        var sectors = (ulong)disk.Length / Sector;
        if (count > 0 && first < sectors && count <= sectors - first)
            found.Add(new Partition(number, (long)first * Sector, (long)count * Sector, kind));
    }
}
