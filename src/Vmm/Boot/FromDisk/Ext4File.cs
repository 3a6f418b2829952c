using System.Buffers.Binary;
using Exitless.Linux;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Boot.FromDisk;

/// <summary>One inode of an ext4 file system and the content that it leads to.</summary>
internal sealed class Ext4File
{
    private const uint ExtentsFlag = 0x8_0000, InlineFlag = 0x1000_0000, EncryptedFlag = 0x800;
    private const int BlocksAt = 40, BlocksBytes = 60, MostDepth = 5, MostNodes = 20_000, CopyBytes = 1 << 20;
    private readonly DiskBytes _disk;
    private readonly int _blockBytes;
    private readonly byte[] _inode;
    private readonly uint _flags;
    private int _nodes;

    public Ext4File(DiskBytes disk, int blockBytes, byte[] inode)
    {
        (_disk, _blockBytes, _inode) = (disk, blockBytes, inode);
        _flags = BinaryPrimitives.ReadUInt32LittleEndian(inode.AsSpan(32));
        var mode = BinaryPrimitives.ReadUInt16LittleEndian(inode) & 0xf000;
        (IsFolder, IsLink, IsRegular) = (mode == 0x4000, mode == 0xa000, mode == 0x8000);
        Bytes = BinaryPrimitives.ReadUInt32LittleEndian(inode.AsSpan(4)) | (long)BinaryPrimitives.ReadUInt32LittleEndian(inode.AsSpan(108)) << 32;
        if (Bytes < 0 || (_flags & EncryptedFlag) != 0)
            throw DiskBytes.Corrupt(Bytes < 0 ? "a file has more than 2^63 bytes" : "a file on the way to the kernel is encrypted");
    }

    public bool IsFolder { get; }

    public bool IsLink { get; }

    public bool IsRegular { get; }

    public bool IsInline => (_flags & InlineFlag) != 0;

    public long Bytes { get; }

    /// <summary>Reads all of a small file.</summary>
    /// <param name="most">The most that it may have.</param>
    public byte[] ReadAll(int most)
    {
        if (Bytes > most)
            throw DiskBytes.Corrupt($"a file that was expected to have at most {most:#,0} bytes has {Bytes:#,0}");
        var all = new byte[Bytes];
        Read((offset, data) => data.CopyTo(all.AsSpan((int)offset)));
        return all;
    }

    /// <summary>Copies the content into a memory file; what is a hole stays one.</summary>
    public SafeFileHandle CopyToMemory(string name)
    {
        var file = MemoryFile.Create(name, Bytes);
        try
        {
            Read((offset, data) =>
            {
                while (data.Length > 0)
                {
                    var count = Files.TryWriteAt(file, data, offset, out var error);
                    if (count <= 0)
                        throw new LinuxException($"copy of {name}", error);
                    data = data[count..];
                    offset += count;
                }
            });
            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    private void Read(PieceReader take)
    {
        var head = _inode.AsSpan(BlocksAt, BlocksBytes);
        if (IsInline)
        {
            ReadInline(take);
        }
        else if ((_flags & ExtentsFlag) != 0)
        {
            _nodes = 0;
            ReadNode(head, MostDepth, new byte[(int)Math.Min(CopyBytes, Math.Max(Bytes, 1))], take);
        }
        else if (IsLink && Bytes < BlocksBytes)
        {
            take(0, head[..(int)Bytes]);
        }
        else if (Bytes > 0)
        {
            throw DiskBytes.Corrupt("a file is not made of extents (an ext3 file system that was never converted)");
        }
    }

    private void ReadNode(ReadOnlySpan<byte> node, int depthLeft, byte[] buffer, PieceReader take)
    {
        var entries = BinaryPrimitives.ReadUInt16LittleEndian(node[2..]);
        var depth = BinaryPrimitives.ReadUInt16LittleEndian(node[6..]);
        if (BinaryPrimitives.ReadUInt16LittleEndian(node) != 0xf30a || depth > depthLeft || entries > (node.Length - 12) / 12)
            throw DiskBytes.Corrupt($"a node of extents has {entries} entries and depth {depth}");
        for (var i = 0; i < entries; i++)
        {
            if (++_nodes > MostNodes)
                throw DiskBytes.Corrupt($"a file has more than {MostNodes:#,0} extents");
            var entry = node.Slice(12 + (12 * i), 12);
            if (depth == 0)
            {
                ReadExtent(entry, buffer, take);
                continue;
            }
            var child = new byte[_blockBytes];
            _disk.Read(At(BinaryPrimitives.ReadUInt32LittleEndian(entry[4..]) | (long)BinaryPrimitives.ReadUInt16LittleEndian(entry[8..]) << 32), child);
            ReadNode(child, depth - 1, buffer, take);
        }
    }

    private void ReadExtent(ReadOnlySpan<byte> entry, byte[] buffer, PieceReader take)
    {
        const int mostBlocks = 32768;
        var blocks = BinaryPrimitives.ReadUInt16LittleEndian(entry[4..]);
        // More than that: allocated, but never written, which reads as zeros.
        if (blocks > mostBlocks)
            return;
        var offset = BinaryPrimitives.ReadUInt32LittleEndian(entry) * (long)_blockBytes;
        var from = At(BinaryPrimitives.ReadUInt32LittleEndian(entry[8..]) | (long)BinaryPrimitives.ReadUInt16LittleEndian(entry[6..]) << 32);
        var left = Math.Min((long)blocks * _blockBytes, Bytes - offset);
        while (left > 0)
        {
            var piece = buffer.AsSpan(0, (int)Math.Min(left, buffer.Length));
            _disk.Read(from, piece);
            take(offset, piece);
            from += piece.Length;
            offset += piece.Length;
            left -= piece.Length;
        }
    }

    /// <summary>The first 60 bytes lie where the extents would, the rest in the attribute "system.data" of the inode itself.</summary>
    private void ReadInline(PieceReader take)
    {
        var first = (int)Math.Min(Bytes, BlocksBytes);
        take(0, _inode.AsSpan(BlocksAt, first));
        if (Bytes <= BlocksBytes)
            return;
        const int dataIndex = 7;
        var header = _inode.Length > 130 ? 128 + BinaryPrimitives.ReadUInt16LittleEndian(_inode.AsSpan(128)) : _inode.Length;
        if (header + 4 > _inode.Length || BinaryPrimitives.ReadUInt32LittleEndian(_inode.AsSpan(header)) != 0xea020000)
            throw DiskBytes.Corrupt("an inline file lacks its attribute");
        for (var at = header + 4; at + 16 <= _inode.Length && _inode[at] != 0; at += (16 + _inode[at] + 3) & ~3)
        {
            if (_inode[at + 1] != dataIndex || _inode[at] != 4 || at + 20 > _inode.Length || !_inode.AsSpan(at + 16, 4).SequenceEqual("data"u8))
                continue;
            var offset = header + 4 + BinaryPrimitives.ReadUInt16LittleEndian(_inode.AsSpan(at + 2));
            var length = BinaryPrimitives.ReadUInt32LittleEndian(_inode.AsSpan(at + 8));
            if (offset > _inode.Length || length > _inode.Length - offset || length < Bytes - BlocksBytes)
                break;
            take(BlocksBytes, _inode.AsSpan(offset, (int)(Bytes - BlocksBytes)));
            return;
        }
        throw DiskBytes.Corrupt("an inline file lacks its data");
    }

    private long At(long block) => block <= _disk.Length / _blockBytes ? block * _blockBytes : throw DiskBytes.Corrupt($"a file leads to block {block:#,0}");

    private delegate void PieceReader(long offset, ReadOnlySpan<byte> data);
}
