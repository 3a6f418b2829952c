using System.Buffers.Binary;

namespace Exitless.Vmm.Boot.FromDisk;

/// <summary>
/// Reads an ext4 file system as far as booting needs it (the kernel's Documentation/filesystems/ext4): folders, symbolic links, files in extents
/// or inline. Checksums and the journal are not looked at. Every number is checked before use and every walk is bounded.
/// </summary>
internal sealed class Ext4
{
    public const int MostFolderBytes = 8 << 20;
    private const int SuperblockAt = 1024, RootInode = 2;
    private const uint WideFeature = 0x80, MetaGroupsFeature = 0x10;
    /// <summary>All that changes what is read here, or does not: file types, recovery, extents, 64 bits, mount protection, flexible groups, large attributes, checksum seed, large folders, inline data, encryption and case folding of single folders.</summary>
    private const uint KnownFeatures = 0x2 | 0x4 | 0x40 | WideFeature | 0x100 | 0x200 | 0x400 | 0x2000 | 0x4000 | 0x8000 | 0x1_0000 | 0x2_0000;
    private const int MostLinks = 16, MostNameBytes = 4096;

    private readonly DiskBytes _disk;
    private readonly long _groupTable;
    private readonly uint _inodesPerGroup;
    private readonly uint _inodes;
    private readonly int _inodeBytes;
    private readonly int _groupBytes;

    private Ext4(DiskBytes disk, ReadOnlySpan<byte> superblock)
    {
        _disk = disk;
        var log = BinaryPrimitives.ReadUInt32LittleEndian(superblock[24..]);
        var features = BinaryPrimitives.ReadUInt32LittleEndian(superblock[96..]);
        if (log > 6)
            throw DiskBytes.Corrupt($"its blocks have 2^{log + 10ul} bytes");
        if ((features & ~KnownFeatures) is not 0 and var unknown)
            throw DiskBytes.Corrupt($"it has features that are not known here (0x{unknown:x}{((unknown & MetaGroupsFeature) != 0 ? ", meta block groups" : "")})");
        BlockBytes = 1024 << (int)log;
        _inodes = BinaryPrimitives.ReadUInt32LittleEndian(superblock);
        _inodesPerGroup = BinaryPrimitives.ReadUInt32LittleEndian(superblock[40..]);
        _inodeBytes = BinaryPrimitives.ReadUInt32LittleEndian(superblock[76..]) == 0 ? 128 : BinaryPrimitives.ReadUInt16LittleEndian(superblock[88..]);
        _groupBytes = (features & WideFeature) != 0 ? BinaryPrimitives.ReadUInt16LittleEndian(superblock[254..]) : 32;
        _groupTable = (BinaryPrimitives.ReadUInt32LittleEndian(superblock[20..]) + 1L) * BlockBytes;
        if (_inodesPerGroup == 0 || _inodeBytes is < 128 or > 4096 || _groupBytes is < 32 or > 1024)
            throw DiskBytes.Corrupt($"it has {_inodesPerGroup} inodes of {_inodeBytes} bytes a group, and group descriptors of {_groupBytes}");
        Id = new Guid(superblock.Slice(104, 16), bigEndian: true);
    }

    public int BlockBytes { get; }

    /// <summary>The file system's UUID.</summary>
    public Guid Id { get; }

    /// <summary>Opens a file system; null if there is none of this kind.</summary>
    public static Ext4? TryOpen(DiskBytes disk)
    {
        if (disk.Length < SuperblockAt * 2)
            return null;
        Span<byte> superblock = stackalloc byte[1024];
        disk.Read(SuperblockAt, superblock);
        return BinaryPrimitives.ReadUInt16LittleEndian(superblock[56..]) == 0xef53 ? new Ext4(disk, superblock) : null;
    }

    /// <summary>Finds a file by its absolute path, through symbolic links.</summary>
    /// <returns>Null if there is none.</returns>
    public Ext4File? Find(string path)
    {
        var links = MostLinks;
        return Walk(Open(RootInode), path, ref links);
    }

    /// <summary>The names in a folder.</summary>
    public static IEnumerable<string> Names(Ext4File folder) => Entries(folder).Select(e => e.Name);

    /// <summary>Opens a file by its inode's number.</summary>
    public Ext4File Open(uint number)
    {
        if (number == 0 || number > _inodes)
            throw DiskBytes.Corrupt($"a folder names inode {number}; there are {_inodes}");
        Span<byte> group = stackalloc byte[64];
        group.Clear();
        _disk.Read(_groupTable + ((number - 1) / _inodesPerGroup * (long)_groupBytes), group[..Math.Min(_groupBytes, 64)]);
        var table = BinaryPrimitives.ReadUInt32LittleEndian(group[8..]) | (long)BinaryPrimitives.ReadUInt32LittleEndian(group[40..]) << 32;
        if (table < 0 || table > _disk.Length / BlockBytes)
            throw DiskBytes.Corrupt($"an inode table lies at block {table:#,0}");
        var inode = new byte[_inodeBytes];
        _disk.Read((table * BlockBytes) + ((number - 1) % _inodesPerGroup * (long)_inodeBytes), inode);
        return new Ext4File(_disk, BlockBytes, inode);
    }

    private Ext4File? Walk(Ext4File from, string path, ref int links)
    {
        var at = path.StartsWith('/') ? Open(RootInode) : from;
        var parts = path.Split('/', StringSplitOptions.RemoveEmptyEntries);
        for (var i = 0; i < parts.Length; i++)
        {
            if (!at.IsFolder)
                return null;
            var entry = Entries(at).FirstOrDefault(e => e.Name == parts[i]);
            if (entry.Name is null)
                return null;
            var next = Open(entry.Inode);
            if (next.IsLink)
            {
                if (--links < 0 || next.Bytes > MostNameBytes)
                    return null;
                var target = Walk(at, System.Text.Encoding.UTF8.GetString(next.ReadAll(MostNameBytes)), ref links);
                if (target is null)
                    return null;
                next = target;
            }
            at = next;
        }
        return at;
    }

    /// <summary>Reads a folder from front to back: the tree of a large folder looks like unused entries then.</summary>
    private static List<(string Name, uint Inode)> Entries(Ext4File folder)
    {
        var found = new List<(string, uint)>();
        var all = folder.ReadAll(MostFolderBytes);
        // An inline folder begins with its parent's number.
        for (var at = folder.IsInline ? 4 : 0; at + 8 <= all.Length;)
        {
            var entry = all.AsSpan(at);
            var inode = BinaryPrimitives.ReadUInt32LittleEndian(entry);
            var length = BinaryPrimitives.ReadUInt16LittleEndian(entry[4..]);
            if (length < 8 || length > entry.Length)
                break;
            if (inode != 0 && entry[6] > 0 && entry[6] <= length - 8)
                found.Add((System.Text.Encoding.UTF8.GetString(entry.Slice(8, entry[6])), inode));
            at += length;
        }
        return found;
    }
}
