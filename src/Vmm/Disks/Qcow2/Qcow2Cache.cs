using System.Buffers.Binary;

namespace Exitless.Vmm.Disks.Qcow2;

/// <summary>
/// The tables of an image in blocks of up to 4 KiB, at most 512 KiB of them. Entries of the mapping tables wait here until a flush, so that they reach
/// the file only after the data and the reference counts that they rely on (see <see cref="WriteBack"/>); everything else is written at once.
/// </summary>
/// <param name="file">The image.</param>
/// <param name="clusterBytes">Its clusters: a block never reaches into the next one, which may be data.</param>
internal sealed class Qcow2Cache(DiskFile file, int clusterBytes)
{
    private const int Sets = 32, Ways = 4;
    private readonly int _blockBytes = Math.Min(4096, clusterBytes);
    private readonly Block[] _blocks = Fresh();
    private long _clock;

    /// <summary>True while entries wait.</summary>
    public bool IsDirty { get; private set; }

    /// <summary>Reads a big-endian number of 1, 2, 4 or 8 bytes, aligned.</summary>
    public int Read(long offset, int size, out ulong value)
    {
        value = 0;
        var error = Find(offset, out var block);
        if (error != 0)
            return error;
        var at = block!.Data.AsSpan((int)(offset % _blockBytes));
        value = size switch { 1 => at[0], 2 => BinaryPrimitives.ReadUInt16BigEndian(at), 4 => BinaryPrimitives.ReadUInt32BigEndian(at), _ => BinaryPrimitives.ReadUInt64BigEndian(at) };
        return 0;
    }

    /// <summary>Writes an entry of 8 bytes that waits for the next flush.</summary>
    public int WriteLater(long offset, ulong value)
    {
        var error = Find(offset, out var block);
        if (error != 0)
            return error;
        BinaryPrimitives.WriteUInt64BigEndian(block!.Data.AsSpan((int)(offset % _blockBytes)), value);
        block.IsDirty = IsDirty = true;
        return 0;
    }

    /// <summary>Writes a big-endian number of 1, 2, 4 or 8 bytes at once.</summary>
    public int WriteNow(long offset, int size, ulong value)
    {
        var error = Find(offset, out var block);
        if (error != 0)
            return error;
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, value);
        bytes = bytes[(8 - size)..];
        error = file.Write((ReadOnlySpan<byte>)bytes, offset);
        if (error == 0)
            bytes.CopyTo(block!.Data.AsSpan((int)(offset % _blockBytes)));
        return error;
    }

    /// <summary>Forgets what is known of a part of the file that was written past the cache.</summary>
    public void Forget(long offset, long length)
    {
        foreach (var block in _blocks)
        {
            if (block.Offset >= offset && block.Offset - offset < length)
                (block.Offset, block.IsDirty) = (-1, false);
        }
    }

    /// <summary>Writes what waits, after everything that it relies on lasts.</summary>
    public int WriteBack()
    {
        if (!IsDirty)
            return 0;
        var error = file.Sync();
        if (error != 0)
            return error;
        foreach (var block in _blocks)
        {
            if (!block.IsDirty)
                continue;
            error = file.Write((ReadOnlySpan<byte>)block.Data, block.Offset);
            if (error != 0)
                return error;
            block.IsDirty = false;
        }
        IsDirty = false;
        return 0;
    }

    private static Block[] Fresh()
    {
        var blocks = new Block[Sets * Ways];
        for (var i = 0; i < blocks.Length; i++)
            blocks[i] = new Block();
        return blocks;
    }

    private int Find(long offset, out Block? found)
    {
        var start = offset - (offset % _blockBytes);
        // Fibonacci hashing: tables lie at large powers of two.
        var set = (int)((ulong)(start / _blockBytes) * 0x9e3779b97f4a7c15 >> 59) * Ways;
        found = null;
        Block? oldest = null;
        for (var i = set; i < set + Ways; i++)
        {
            var block = _blocks[i];
            if (block.Offset == start)
                found = block;
            else if (oldest is null || block.UsedAt < oldest.UsedAt)
                oldest = block;
        }
        if (found is null)
        {
            var error = Load(oldest!, start);
            if (error != 0)
                return error;
            found = oldest;
        }
        found!.UsedAt = ++_clock;
        return 0;
    }

    private int Load(Block block, long start)
    {
        if (block.IsDirty && WriteBack() is var unwritten and not 0)
            return unwritten;
        block.Offset = -1;
        if (block.Data.Length == 0)
            block.Data = new byte[_blockBytes];
        var error = file.Read(block.Data.AsSpan(), start);
        if (error == 0)
            block.Offset = start;
        return error;
    }

    private sealed class Block
    {
        public long Offset = -1;
        public long UsedAt;
        public bool IsDirty;
        public byte[] Data = [];
    }
}
