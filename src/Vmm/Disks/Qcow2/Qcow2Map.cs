using Exitless.Linux;

namespace Exitless.Vmm.Disks.Qcow2;

/// <summary>What an image has for a cluster of the disk.</summary>
internal enum ClusterKind
{
    /// <summary>Nothing: the backing file's content, or zeros.</summary>
    Absent,

    /// <summary>Zeros, whatever the backing file has.</summary>
    Zero,

    /// <summary>Data at an offset of the file.</summary>
    Data,

    /// <summary>Packed data.</summary>
    Compressed,
}

/// <summary>One entry of a level 2 table.</summary>
/// <param name="Kind">What there is.</param>
/// <param name="Offset">Where the data is; of zeros, the cluster that is kept for them, or 0.</param>
/// <param name="PackedBytes">Bytes that packed data may have at most.</param>
internal readonly record struct ClusterEntry(ClusterKind Kind, long Offset, int PackedBytes);

/// <summary>The two levels of tables that lead from the disk's clusters to the file's. Every offset is checked against the file before use.</summary>
internal sealed class Qcow2Map(Qcow2Cache cache, Qcow2Refcounts refcounts, DiskFile file, Qcow2Header header)
{
    private const ulong OffsetMask = 0x00ff_ffff_ffff_fe00, CopiedFlag = 1UL << 63, CompressedFlag = 1UL << 62, ZeroFlag = 1;
    private readonly int _bits = header.ClusterBits;

    private long Cluster => 1L << _bits;

    /// <summary>Finds a cluster.</summary>
    /// <param name="cluster">Its number on the disk.</param>
    /// <param name="entry">What the image has for it.</param>
    public int Find(long cluster, out ClusterEntry entry)
    {
        entry = default;
        var error = FindTable(cluster, out var table);
        if (error != 0 || table == 0)
            return error;
        error = cache.Read(table + EntryOffset(cluster), 8, out var raw);
        return error != 0 ? error : Decode(raw, out entry);
    }

    /// <summary>Says that a cluster's data is at an offset of the file, from the next flush on.</summary>
    public int SetData(long cluster, long offset) => Set(cluster, (ulong)offset | CopiedFlag);

    /// <summary>Says that a cluster is zeros; the cluster of the file that it has is kept for it. Version 3 only.</summary>
    public int SetZero(long cluster, long offset) => Set(cluster, offset == 0 ? ZeroFlag : (ulong)offset | CopiedFlag | ZeroFlag);

    private long EntryOffset(long cluster) => (cluster & ((Cluster >> 3) - 1)) * 8;

    private long Level1Offset(long cluster) => header.L1Offset + ((cluster >> (_bits - 3)) * 8);

    private int FindTable(long cluster, out long table)
    {
        var error = cache.Read(Level1Offset(cluster), 8, out var raw);
        table = (long)(raw & OffsetMask);
        return error != 0 ? error : table == 0 || IsPlace(table) ? 0 : Errno.InputOutput;
    }

    private int Set(long cluster, ulong raw)
    {
        var error = FindTable(cluster, out var table);
        if (error == 0 && table == 0)
            error = MakeTable(cluster, out table);
        return error != 0 ? error : cache.WriteLater(table + EntryOffset(cluster), raw);
    }

    private int MakeTable(long cluster, out long table)
    {
        var error = refcounts.Allocate(out table, out var reads);
        if (error == 0 && reads)
            error = file.Zero(table, Cluster, mayUnmap: true);
        cache.Forget(table, Cluster);
        return error != 0 ? error : cache.WriteLater(Level1Offset(cluster), (ulong)table | CopiedFlag);
    }

    private int Decode(ulong raw, out ClusterEntry entry)
    {
        if ((raw & CompressedFlag) != 0)
        {
            var offsetBits = 62 - (_bits - 8);
            var offset = (long)(raw & ((1UL << offsetBits) - 1));
            var sectors = (long)(raw & (CompressedFlag - 1)) >> offsetBits;
            entry = new ClusterEntry(ClusterKind.Compressed, offset, (int)(((sectors + 1) * 512) - (offset & 511)));
            return offset < refcounts.End ? 0 : Errno.InputOutput;
        }
        var place = (long)(raw & OffsetMask);
        var zero = header.Version >= 3 && (raw & ZeroFlag) != 0;
        entry = new ClusterEntry(zero ? ClusterKind.Zero : place == 0 ? ClusterKind.Absent : ClusterKind.Data, place, 0);
        return place == 0 || IsPlace(place) ? 0 : Errno.InputOutput;
    }

    /// <summary>A cluster of the file that is neither the header's nor one of the tables that the header names.</summary>
    private bool IsPlace(long offset) => offset % Cluster == 0 && offset > 0 && offset < refcounts.End
        && (offset < header.L1Offset - (header.L1Offset % Cluster) || offset >= header.L1Offset + (((header.Size - 1) >> ((2 * _bits) - 3)) + 1) * 8)
        && (offset < header.RefcountTableOffset || offset >= header.RefcountTableOffset + (header.RefcountTableClusters << _bits));
}
