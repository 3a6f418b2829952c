using System.Runtime.InteropServices;
using Exitless.Linux;
using Exitless.Vmm.Control;
using Exitless.Vmm.Virtio;

namespace Exitless.Vmm.Disks.Qcow2;

/// <summary>
/// A disk in a qcow2 image. A corrupt table costs the request that meets it an error and nothing else; what an image says is only ever used
/// within the bounds of its file. Mapping tables reach the file at a flush: what the guest has not flushed may be lost with the process, as with
/// any disk's cache, but the image stays sound.
/// </summary>
internal sealed unsafe class Qcow2Disk : IDisk
{
    private const int MostReleases = 256;
    private readonly DiskFile _file;
    private readonly Qcow2Header _header;
    private readonly Qcow2Cache _cache;
    private readonly Qcow2Refcounts _refcounts;
    private readonly Qcow2Map _map;
    private readonly IDisk? _below;
    private readonly IoVector[] _part = new IoVector[VectorIo.MostVectors];
    private readonly IoVector[] _backingPart = new IoVector[VectorIo.MostVectors];
    private readonly long[] _releases = new long[MostReleases];
    private byte* _cluster;
    private byte* _packed;
    private byte* _unpacked;
    private long _unpackedFrom = -1;
    private int _releaseCount;

    /// <summary>Opens an image whose header has been read.</summary>
    /// <param name="file">The file, which goes over to this.</param>
    /// <param name="header">Its header.</param>
    /// <param name="below">The backing file, which goes over to this; null: none.</param>
    /// <param name="isReadOnly">True: nothing is written.</param>
    public Qcow2Disk(DiskFile file, Qcow2Header header, IDisk? below, bool isReadOnly)
    {
        (_file, _header, _below, IsReadOnly) = (file, header, below, isReadOnly);
        _cache = new Qcow2Cache(file, 1 << header.ClusterBits);
        _refcounts = new Qcow2Refcounts(file, _cache, header);
        _map = new Qcow2Map(_cache, _refcounts, file, header);
        if (!isReadOnly && header.HasAutoclear && file.Write(stackalloc byte[8], Qcow2Header.AutoclearOffset) is var error and not 0)
            throw new LinuxException("write of the qcow2 header", error);
    }

    public long Bytes => _header.Size;

    public bool IsReadOnly { get; }

    private int Bits => _header.ClusterBits;

    private long Cluster => 1L << Bits;

    /// <summary>Opens an image.</summary>
    /// <param name="file">The file, which goes over to the disk.</param>
    /// <param name="below">The backing file; null: none.</param>
    /// <param name="isReadOnly">True: nothing is written.</param>
    /// <param name="name">The disk, for problems.</param>
    /// <param name="field">The member of the configuration, for problems.</param>
    /// <exception cref="VmmProblemException">As <see cref="Qcow2Header.Parse"/>; disk-qcow2-unsound, disk-chain-broken.</exception>
    public static Qcow2Disk Open(DiskFile file, IDisk? below, bool isReadOnly, string name, string field)
    {
        var size = file.Size;
        var head = new byte[Math.Min(size, Qcow2Header.HeadBytes)];
        if (file.Read(head.AsSpan(), 0) is var error and not 0)
            throw new LinuxException($"read of {name}", error);
        var header = Qcow2Header.Parse(head, size, name, field);
        if (header.IsUnsound && !isReadOnly)
        {
            throw new VmmProblemException("disk-qcow2-unsound", "A qcow2 image was not closed properly.", $"{name} is marked as dirty or corrupt.",
                "Repair it (qemu-img check -r all), or make the disk read-only.", field);
        }
        if (header.BackingFile is not null != below is not null)
        {
            throw new VmmProblemException("disk-chain-broken", "A qcow2 image and its chain of backing files do not fit together.",
                header.BackingFile is null ? $"{name} has no backing file, and one came." : $"{name} has the backing file {header.BackingFile}, and none came.", "Name all files of the chain.", field);
        }
        return new Qcow2Disk(file, header, below, isReadOnly);
    }

    public int Read(ReadOnlySpan<IoVector> to, long offset)
    {
        var total = Length(to);
        for (ulong done = 0; done < total;)
        {
            var at = offset + (long)done;
            var error = Run(at, total - done, out var entry, out var length);
            if (error != 0)
                return error;
            var part = _part.AsSpan(0, Stretches.Cut(to, done, length, _part));
            error = entry.Kind switch
            {
                ClusterKind.Data => _file.Read(part, entry.Offset + (at & (Cluster - 1))),
                ClusterKind.Compressed => ReadPacked(entry, part, (int)(at & (Cluster - 1))),
                ClusterKind.Absent when _below is not null => ReadBelow(part, at, length),
                _ => Zeros(part),
            };
            if (error != 0)
                return error;
            done += length;
        }
        return 0;
    }

    public int Write(ReadOnlySpan<IoVector> from, long offset)
    {
        var total = Length(from);
        for (ulong done = 0; done < total;)
        {
            var at = offset + (long)done;
            var error = Run(at, total - done, out var entry, out var length);
            if (error != 0)
                return error;
            if (entry.Kind == ClusterKind.Data)
            {
                var part = _part.AsSpan(0, Stretches.Cut(from, done, length, _part));
                error = _file.Write(part, entry.Offset + (at & (Cluster - 1)));
            }
            else
            {
                length = Math.Min(length, (ulong)(Cluster - (at & (Cluster - 1))));
                error = WriteNew(from, done, at, (int)length, entry);
            }
            if (error != 0)
                return error;
            done += length;
        }
        return 0;
    }

    public int Flush()
    {
        if (IsReadOnly)
            return 0;
        var error = _cache.WriteBack();
        if (error == 0)
            error = _file.Sync();
        // Only now does no table on the disk lead to them any more.
        while (error == 0 && _releaseCount > 0)
            error = _refcounts.Release(_releases[--_releaseCount]);
        return error;
    }

    public int Discard(long offset, long length)
    {
        var first = (offset + Cluster - 1) >> Bits;
        var end = (offset + length) >> Bits;
        for (var cluster = first; cluster < end; cluster++)
        {
            var error = _map.Find(cluster, out var entry);
            // Version 2 has no mark for zeros: without a backing file the cluster's own content will do.
            if (error == 0 && entry.Kind == ClusterKind.Data && (_header.Version >= 3 || (_below is null && !_file.IsBlockDevice)))
            {
                if (_header.Version >= 3)
                    error = _map.SetZero(cluster, entry.Offset);
                if (error == 0)
                    error = _file.Punch(entry.Offset, Cluster);
            }
            if (error != 0)
                return error;
        }
        return 0;
    }

    public int Zero(long offset, long length, bool mayUnmap)
    {
        for (var end = offset + length; offset < end;)
        {
            var part = Math.Min(end - offset, Cluster - (offset & (Cluster - 1)));
            var error = _map.Find(offset >> Bits, out var entry);
            if (error == 0)
                error = ZeroPart(offset, part, mayUnmap, entry);
            if (error != 0)
                return error;
            offset += part;
        }
        return 0;
    }

    public void Dispose()
    {
        Flush();
        _file.Dispose();
        _below?.Dispose();
        NativeMemory.Free(_cluster);
        NativeMemory.Free(_packed);
        NativeMemory.Free(_unpacked);
        _cluster = _packed = _unpacked = null;
    }

    private static ulong Length(ReadOnlySpan<IoVector> vectors)
    {
        ulong length = 0;
        foreach (ref readonly var vector in vectors)
            length += vector.Length;
        return length;
    }

    private static int Zeros(ReadOnlySpan<IoVector> part)
    {
        Stretches.Clear(part, 0, ulong.MaxValue);
        return 0;
    }

    /// <summary>What is at an offset, and how far the same goes on: for data, as long as it is in one piece in the file.</summary>
    private int Run(long offset, ulong most, out ClusterEntry entry, out ulong length)
    {
        length = Math.Min(most, (ulong)(Cluster - (offset & (Cluster - 1))));
        var error = _map.Find(offset >> Bits, out entry);
        while (error == 0 && entry.Kind != ClusterKind.Compressed && length < most)
        {
            error = _map.Find((offset + (long)length) >> Bits, out var next);
            // A bad entry is met when its turn comes.
            if (error != 0)
                return 0;
            if (next.Kind != entry.Kind || (entry.Kind == ClusterKind.Data && next.Offset != entry.Offset + (((offset + (long)length) >> Bits) - (offset >> Bits) << Bits)))
                break;
            length = Math.Min(most, length + (ulong)Cluster);
        }
        return error;
    }

    private int ReadBelow(ReadOnlySpan<IoVector> to, long offset, ulong length)
    {
        var there = (ulong)Math.Clamp(_below!.Bytes - offset, 0, (long)length);
        Stretches.Clear(to, there, ulong.MaxValue);
        if (there == 0)
            return 0;
        return _below.Read(_backingPart.AsSpan(0, Stretches.Cut(to, 0, there, _backingPart)), offset);
    }

    private int ReadPacked(ClusterEntry entry, ReadOnlySpan<IoVector> to, int inCluster)
    {
        if (_unpackedFrom != entry.Offset)
        {
            _unpackedFrom = -1;
            var most = (int)(2 * Cluster) + 512;
            if (entry.PackedBytes > most)
                return Errno.InputOutput;
            _packed = Ensure(_packed, most);
            _unpacked = Ensure(_unpacked, (int)Cluster);
            var input = new Span<byte>(_packed, entry.PackedBytes);
            var error = _file.Read(input, entry.Offset);
            if (error != 0)
                return error;
            if (!Inflater.TryInflate(input, new Span<byte>(_unpacked, (int)Cluster)))
                return Errno.InputOutput;
            _unpackedFrom = entry.Offset;
        }
        Stretches.Write(to, 0, new ReadOnlySpan<byte>(_unpacked + inCluster, (int)Math.Min((ulong)(Cluster - inCluster), Length(to))));
        return 0;
    }

    /// <summary>Writes into a cluster that the image does not have as data yet.</summary>
    private int WriteNew(ReadOnlySpan<IoVector> from, ulong done, long at, int length, ClusterEntry before)
    {
        var inCluster = (int)(at & (Cluster - 1));
        var cluster = at >> Bits;
        var keeps = before.Kind == ClusterKind.Compressed || (before.Kind == ClusterKind.Absent && _below is not null && at - inCluster < _below.Bytes);
        var whole = length == Cluster;
        int error;
        if (keeps && !whole)
        {
            _cluster = Ensure(_cluster, (int)Cluster);
            error = ReadOld(cluster, before);
            if (error != 0)
                return error;
        }
        var place = before.Kind == ClusterKind.Zero ? before.Offset : 0;
        var reads = place != 0;
        if (place == 0)
        {
            error = _refcounts.Allocate(out place, out reads);
            if (error != 0)
                return error;
        }
        if (keeps && !whole)
        {
            var all = new Span<byte>(_cluster, (int)Cluster);
            for (var copied = 0; copied < length;)
                copied += Stretches.Read(from, done + (ulong)copied, all.Slice(inCluster + copied, length - copied));
            error = _file.Write((ReadOnlySpan<byte>)all, place);
        }
        else
        {
            error = reads && !whole ? _file.Zero(place, Cluster, mayUnmap: true) : 0;
            if (error == 0)
                error = _file.Write(_part.AsSpan(0, Stretches.Cut(from, done, (ulong)length, _part)), place + inCluster);
        }
        if (error == 0)
            error = _map.SetData(cluster, place);
        return error == 0 && before.Kind == ClusterKind.Compressed ? ReleasePacked(before) : error;
    }

    private int ReadOld(long cluster, ClusterEntry entry)
    {
        var whole = new IoVector(_cluster, (nuint)Cluster);
        var vector = new ReadOnlySpan<IoVector>(ref whole);
        return entry.Kind == ClusterKind.Compressed ? ReadPacked(entry, vector, 0) : ReadBelow(vector, cluster << Bits, (ulong)Cluster);
    }

    /// <summary>Packed data that no table will lead to after the next flush: each cluster that it lies in has one reference for it.</summary>
    private int ReleasePacked(ClusterEntry entry)
    {
        _unpackedFrom = -1;
        var last = Math.Min(entry.Offset + entry.PackedBytes, _refcounts.End) - 1;
        for (var cluster = entry.Offset >> Bits; cluster <= last >> Bits; cluster++)
        {
            if (_releaseCount == MostReleases && Flush() is var error and not 0)
                return error;
            _releases[_releaseCount++] = cluster;
        }
        return 0;
    }

    private int ZeroPart(long offset, long part, bool mayUnmap, ClusterEntry entry)
    {
        var cluster = offset >> Bits;
        if (entry.Kind == ClusterKind.Zero || (entry.Kind == ClusterKind.Absent && _below is null))
            return 0;
        if (part == Cluster && _header.Version >= 3)
        {
            var error = _map.SetZero(cluster, entry.Kind == ClusterKind.Data ? entry.Offset : 0);
            if (error == 0 && entry.Kind == ClusterKind.Compressed)
                error = ReleasePacked(entry);
            return error == 0 && entry.Kind == ClusterKind.Data && mayUnmap ? _file.Punch(entry.Offset, Cluster) : error;
        }
        if (entry.Kind == ClusterKind.Data)
            return _file.Zero(entry.Offset + (offset & (Cluster - 1)), part, mayUnmap && part == Cluster);
        var zeros = (byte*)NativeMemory.AllocZeroed((nuint)part);
        var vector = new IoVector(zeros, (nuint)part);
        var result = WriteNew(new ReadOnlySpan<IoVector>(ref vector), 0, offset, (int)part, entry);
        NativeMemory.Free(zeros);
        return result;
    }

    private static byte* Ensure(byte* buffer, int bytes) => buffer is null ? (byte*)NativeMemory.Alloc((nuint)bytes) : buffer;
}
