using System.Buffers.Binary;
using System.Text;
using Exitless.Vmm.Control;

namespace Exitless.Vmm.Disks.Qcow2;

/// <summary>The header of a qcow2 image (QEMU's docs/interop/qcow2.txt), versions 2 and 3, with everything in it checked against the file.</summary>
internal sealed class Qcow2Header
{
    /// <summary>How much of the file <see cref="Parse"/> wants to see.</summary>
    public const int HeadBytes = 64 * 1024;

    public const int AutoclearOffset = 88, TableOffset = 48;
    private const int Version2Bytes = 72, Version3Bytes = 104;
    private const int MostL1Bytes = 32 << 20, MostTableBytes = 8 << 20;
    private const uint BackingFormatExtension = 0xe2792aca;
    private const ulong Dirty = 1, Corrupt = 2;

    public required int Version { get; init; }

    public required int ClusterBits { get; init; }

    /// <summary>The disk's size in bytes.</summary>
    public required long Size { get; init; }

    public required long L1Offset { get; init; }

    public required long RefcountTableOffset { get; init; }

    public required long RefcountTableClusters { get; init; }

    /// <summary>A reference count has 2 to the power of this bits.</summary>
    public required int RefcountOrder { get; init; }

    /// <summary>True if the image says of itself that its reference counts may be wrong, or that it is corrupt: it is not written then.</summary>
    public required bool IsUnsound { get; init; }

    /// <summary>True if a writer must clear what extensions it does not keep up.</summary>
    public required bool HasAutoclear { get; init; }

    /// <summary>The backing file's name as the header has it; null: none.</summary>
    public string? BackingFile { get; private init; }

    /// <summary>The backing file's format as the header has it; null: it does not say.</summary>
    public string? BackingFormat { get; private init; }

    /// <summary>Reads and checks a header.</summary>
    /// <param name="head">The file's first <see cref="HeadBytes"/>, or all of a shorter file.</param>
    /// <param name="fileBytes">The file's size.</param>
    /// <param name="name">The disk, for problems.</param>
    /// <param name="field">The member of the configuration, for problems.</param>
    /// <exception cref="VmmProblemException">disk-not-qcow2, disk-qcow2-unsupported, disk-qcow2-corrupt.</exception>
    public static Qcow2Header Parse(ReadOnlySpan<byte> head, long fileBytes, string name, string field)
    {
        if (head.Length < Version2Bytes || BinaryPrimitives.ReadUInt32BigEndian(head) != 0x514649fb)
            throw new VmmProblemException("disk-not-qcow2", "A disk is said to be qcow2 and is not.", $"{name} does not begin with a qcow2 header.", "Say its true format.", field);
        var version = BinaryPrimitives.ReadUInt32BigEndian(head[4..]);
        if (version is not (2 or 3))
            throw Unsupported(name, field, $"it has version {version}; 2 and 3 are known");
        if (version == 3 && head.Length < Version3Bytes)
            throw Corrupted(name, field, "it ends within its header");
        var encryption = BinaryPrimitives.ReadUInt32BigEndian(head[32..]);
        if (encryption != 0)
            throw Unsupported(name, field, $"it is encrypted (method {encryption})");
        var snapshots = BinaryPrimitives.ReadUInt32BigEndian(head[60..]);
        if (snapshots != 0)
            throw Unsupported(name, field, $"it has {snapshots} internal snapshots (qemu-img snapshot -d removes them)");
        ulong incompatible = 0, autoclear = 0;
        uint order = 4, headerBytes = Version2Bytes;
        if (version == 3)
        {
            incompatible = BinaryPrimitives.ReadUInt64BigEndian(head[72..]);
            autoclear = BinaryPrimitives.ReadUInt64BigEndian(head[AutoclearOffset..]);
            order = BinaryPrimitives.ReadUInt32BigEndian(head[96..]);
            headerBytes = BinaryPrimitives.ReadUInt32BigEndian(head[100..]);
        }
        CheckFeatures(incompatible & ~(Dirty | Corrupt), headerBytes > 104 && head.Length > 104 ? head[104] : (byte)0, name, field);
        var bits = BinaryPrimitives.ReadUInt32BigEndian(head[20..]);
        var size = BinaryPrimitives.ReadUInt64BigEndian(head[24..]);
        var l1Entries = BinaryPrimitives.ReadUInt32BigEndian(head[36..]);
        var l1 = BinaryPrimitives.ReadUInt64BigEndian(head[40..]);
        var table = BinaryPrimitives.ReadUInt64BigEndian(head[TableOffset..]);
        var tableClusters = BinaryPrimitives.ReadUInt32BigEndian(head[56..]);
        if (bits is < 9 or > 21)
            throw Corrupted(name, field, $"its clusters have 2^{bits} bytes; 2^9 to 2^21 are allowed");
        if (size == 0 || size % DiskOpening.SectorBytes != 0 || size > 1UL << 56)
            throw Unsupported(name, field, $"its disk has {size:#,0} bytes, which is not a number of sectors from 1 to 2^47");
        if (order > 6 || headerBytes < (version == 3 ? Version3Bytes : Version2Bytes) || headerBytes > 1u << (int)bits || headerBytes % 8 != 0)
            throw Corrupted(name, field, $"its reference counts have 2^{order} bits and its header {headerBytes:#,0} bytes");
        var perL2 = 1UL << ((2 * (int)bits) - 3);
        var needed = (size + perL2 - 1) / perL2;
        CheckTable("level 1 table", l1, (ulong)l1Entries * 8, MostL1Bytes, (int)bits, fileBytes, name, field);
        CheckTable("reference count table", table, (ulong)tableClusters << (int)bits, MostTableBytes, (int)bits, fileBytes, name, field);
        if (l1Entries < needed || tableClusters == 0)
            throw Corrupted(name, field, $"its level 1 table has {l1Entries:#,0} entries; a disk of its size needs {needed:#,0}");
        return new Qcow2Header
        {
            Version = (int)version,
            ClusterBits = (int)bits,
            Size = (long)size,
            L1Offset = (long)l1,
            RefcountTableOffset = (long)table,
            RefcountTableClusters = tableClusters,
            RefcountOrder = (int)order,
            IsUnsound = (incompatible & (Dirty | Corrupt)) != 0,
            HasAutoclear = autoclear != 0,
            BackingFile = Backing(head, name, field),
            BackingFormat = Extension(head, headerBytes),
        };
    }

    private static void CheckFeatures(ulong incompatible, byte compression, string name, string field)
    {
        const ulong externalData = 4, compressionType = 8, extendedL2 = 16;
        var what = new List<string>();
        if ((incompatible & externalData) != 0)
            what.Add("keeps its data in another file");
        if ((incompatible & compressionType) != 0 && compression != 0)
            what.Add($"is compressed by method {compression} (only zlib, 0, is known)");
        if ((incompatible & extendedL2) != 0)
            what.Add("has extended level 2 entries");
        var unknown = incompatible & ~(externalData | compressionType | extendedL2);
        if (unknown != 0)
            what.Add($"has unknown features 0x{unknown:x}");
        if (what.Count > 0)
            throw Unsupported(name, field, $"it {string.Join(" and ", what)}");
    }

    private static void CheckTable(string what, ulong offset, ulong bytes, int most, int bits, long fileBytes, string name, string field)
    {
        if (bytes > (ulong)most || offset == 0 || offset % (1UL << bits) != 0 || offset > (ulong)fileBytes || bytes > (ulong)fileBytes - offset)
            throw Corrupted(name, field, $"its {what} has {bytes:#,0} bytes at {offset:#,0}; the file has {fileBytes:#,0}, and {most:#,0} are the most");
    }

    private static string? Backing(ReadOnlySpan<byte> head, string name, string field)
    {
        var offset = BinaryPrimitives.ReadUInt64BigEndian(head[8..]);
        var length = BinaryPrimitives.ReadUInt32BigEndian(head[16..]);
        if (offset == 0)
            return null;
        if (length is 0 or > 1023 || offset > (ulong)head.Length || length > (ulong)head.Length - offset)
            throw Corrupted(name, field, $"the name of its backing file has {length:#,0} bytes at {offset:#,0}");
        return Encoding.UTF8.GetString(head.Slice((int)offset, (int)length));
    }

    private static string? Extension(ReadOnlySpan<byte> head, uint at)
    {
        while (at + 8 <= head.Length)
        {
            var type = BinaryPrimitives.ReadUInt32BigEndian(head[(int)at..]);
            var length = BinaryPrimitives.ReadUInt32BigEndian(head[((int)at + 4)..]);
            at += 8;
            if (type == 0 || length > head.Length - at)
                return null;
            if (type == BackingFormatExtension)
                return Encoding.ASCII.GetString(head.Slice((int)at, (int)length));
            at += (length + 7) & ~7u;
        }
        return null;
    }

    private static VmmProblemException Unsupported(string name, string field, string why) =>
        new("disk-qcow2-unsupported", "A qcow2 image has what this version cannot use.", $"{name}: {why}.", "Convert it (qemu-img convert -O qcow2).", field);

    private static VmmProblemException Corrupted(string name, string field, string why) =>
        new("disk-qcow2-corrupt", "A qcow2 image is corrupt.", $"{name}: {why}.", "Look at it with qemu-img check, or take it from its backup.", field);
}
