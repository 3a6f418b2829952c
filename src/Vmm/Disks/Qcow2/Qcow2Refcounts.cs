using System.Buffers.Binary;
using Exitless.Linux;

namespace Exitless.Vmm.Disks.Qcow2;

/// <summary>
/// Which clusters of an image are in use. Counts are written at once and become lasting before any table entry that relies on them, so a loss of
/// power can at worst leave clusters that nobody uses. A file grows at its end; a block device is searched from its beginning.
/// </summary>
internal sealed class Qcow2Refcounts
{
    /// <summary>How many clusters in use one search passes over: counts that say nonsense do not keep the worker for ever.</summary>
    private const int MostSteps = 1 << 20;
    private const int MostTableBytes = 8 << 20;

    private readonly DiskFile _file;
    private readonly Qcow2Cache _cache;
    private readonly int _bits;
    private readonly int _order;
    private readonly long _device;
    private long _table;
    private long _tableEntries;
    private long _next;

    public Qcow2Refcounts(DiskFile file, Qcow2Cache cache, Qcow2Header header)
    {
        (_file, _cache, _bits, _order) = (file, cache, header.ClusterBits, header.RefcountOrder);
        _table = header.RefcountTableOffset;
        _tableEntries = header.RefcountTableClusters << (_bits - 3);
        var clusters = (file.Size + Cluster - 1) >> _bits;
        (_next, _device) = file.IsBlockDevice ? (0, file.Size >> _bits) : (clusters, long.MaxValue >> _bits);
        End = clusters << _bits;
    }

    /// <summary>The end of the last cluster that there is.</summary>
    public long End { get; private set; }

    private long Cluster => 1L << _bits;

    private long PerBlock => 1L << (_bits + 3 - _order);

    /// <summary>Takes a free cluster.</summary>
    /// <param name="offset">Where it is.</param>
    /// <param name="reads">True if it may hold anything; false: it reads as zeros, being new.</param>
    public int Allocate(out long offset, out bool reads)
    {
        offset = 0;
        reads = false;
        for (var steps = 0; steps < MostSteps; steps++)
        {
            var cluster = _next;
            if (cluster >= _device)
                return Errno.NoSpace;
            var error = EnsureBlock(cluster, out var block);
            if (error != 0)
                return error;
            // The block may have taken the place for itself.
            if (cluster != _next)
                continue;
            error = Get(block, cluster, out var count);
            if (error != 0)
                return error;
            _next++;
            if (count != 0)
                continue;
            error = Set(block, cluster, 1);
            if (error != 0)
                return error;
            offset = cluster << _bits;
            reads = offset < End;
            End = Math.Max(End, offset + Cluster);
            return 0;
        }
        return Errno.NoSpace;
    }

    /// <summary>Takes one reference away; a cluster without one gives its space back to the host.</summary>
    public int Release(long cluster)
    {
        var error = FindBlock(cluster, out var block);
        if (error != 0 || block == 0)
            return error == 0 ? Errno.InputOutput : error;
        error = Get(block, cluster, out var count);
        if (error != 0 || count == 0)
            return error == 0 ? Errno.InputOutput : error;
        error = Set(block, cluster, count - 1);
        return error != 0 || count > 1 ? error : _file.Punch(cluster << _bits, Cluster);
    }

    private int FindBlock(long cluster, out long block)
    {
        block = 0;
        var index = cluster / PerBlock;
        if (index >= _tableEntries)
            return 0;
        var error = _cache.Read(_table + (index * 8), 8, out var entry);
        block = (long)(entry & ~0x1fful);
        return error != 0 ? error : block % Cluster != 0 || block >= End ? Errno.InputOutput : 0;
    }

    /// <summary>Finds the block of counts for a cluster, and makes it where there is none.</summary>
    private int EnsureBlock(long cluster, out long block)
    {
        block = 0;
        if (cluster / PerBlock >= _tableEntries && Grow(cluster) is var failed and not 0)
            return failed;
        if (cluster != _next)
            return 0;
        var error = FindBlock(cluster, out block);
        if (error != 0 || block != 0)
            return error;
        // Nothing that this block would count is in use, so it can lie there itself.
        block = cluster << _bits;
        error = MakeBlock(block, cluster, 1);
        if (error == 0)
            error = _cache.WriteNow(_table + (cluster / PerBlock * 8), 8, (ulong)block);
        if (error == 0)
            _next = cluster + 1;
        return error;
    }

    /// <summary>Writes a block of counts in which some clusters are in use.</summary>
    private int MakeBlock(long offset, long first, long count)
    {
        var error = _file.Zero(offset, Cluster, mayUnmap: false);
        End = Math.Max(End, offset + Cluster);
        _cache.Forget(offset, Cluster);
        for (var i = first; error == 0 && i < first + count; i++)
            error = Set(offset, i, 1);
        return error;
    }

    /// <summary>
    /// Makes a larger table, at the first cluster that the old one cannot count, together with the blocks that count it and themselves. The
    /// header is changed last, after all of it lasts.
    /// </summary>
    private int Grow(long wanted)
    {
        var first = Math.Max(_tableEntries * PerBlock, wanted);
        long tableClusters, blocks, entries;
        for (blocks = 1; ; blocks++)
        {
            entries = Math.Max(_tableEntries * 2, (first / PerBlock) + blocks + 1);
            tableClusters = ((entries * 8) + Cluster - 1) >> _bits;
            if (tableClusters + blocks <= (blocks * PerBlock) - (first % PerBlock))
                break;
        }
        if (tableClusters << _bits > MostTableBytes || first + tableClusters + blocks > _device)
            return Errno.NoSpace;
        var table = (first + blocks) << _bits;
        var error = _file.Zero(table, tableClusters << _bits, mayUnmap: false);
        End = Math.Max(End, table + (tableClusters << _bits));
        _cache.Forget(table, tableClusters << _bits);
        for (long i = 0; error == 0 && i < _tableEntries; i++)
        {
            error = _cache.Read(_table + (i * 8), 8, out var entry);
            if (error == 0 && entry != 0)
                error = _cache.WriteNow(table + (i * 8), 8, entry);
        }
        var used = blocks + tableClusters;
        for (long i = 0; error == 0 && i < blocks; i++)
        {
            var counted = Math.Max(first, ((first / PerBlock) + i) * PerBlock);
            var last = Math.Min(first + used, ((first / PerBlock) + i + 1) * PerBlock);
            error = MakeBlock((first + i) << _bits, counted, Math.Max(0, last - counted));
            if (error == 0)
                error = _cache.WriteNow(table + (((first / PerBlock) + i) * 8), 8, (ulong)(first + i) << _bits);
        }
        if (error == 0)
            error = _file.Sync();
        if (error != 0)
            return error;
        Span<byte> header = stackalloc byte[12];
        BinaryPrimitives.WriteInt64BigEndian(header, table);
        BinaryPrimitives.WriteUInt32BigEndian(header[8..], (uint)tableClusters);
        error = _file.Write((ReadOnlySpan<byte>)header, Qcow2Header.TableOffset);
        if (error == 0)
            error = _file.Sync();
        if (error != 0)
            return error;
        var (old, oldClusters) = (_table >> _bits, _tableEntries >> (_bits - 3));
        (_table, _tableEntries) = (table, tableClusters << (_bits - 3));
        _next = first + used;
        for (long i = 0; error == 0 && i < oldClusters; i++)
            error = Release(old + i);
        return error;
    }

    private int Get(long block, long cluster, out ulong count)
    {
        var index = cluster % PerBlock;
        if (_order >= 3)
            return _cache.Read(block + (index << (_order - 3)), 1 << (_order - 3), out count);
        var error = _cache.Read(block + (index >> (3 - _order)), 1, out var packed);
        count = packed >> Shift(index) & Mask;
        return error;
    }

    private int Set(long block, long cluster, ulong count)
    {
        var index = cluster % PerBlock;
        if (_order >= 3)
            return _cache.WriteNow(block + (index << (_order - 3)), 1 << (_order - 3), count);
        var at = block + (index >> (3 - _order));
        var error = _cache.Read(at, 1, out var packed);
        return error != 0 ? error : _cache.WriteNow(at, 1, (packed & ~(Mask << Shift(index))) | count << Shift(index));
    }

    // Counts of less than a byte begin at the least significant bit.
    private int Shift(long index) => (int)(index << _order & 7);

    private ulong Mask => (1UL << (1 << _order)) - 1;
}
