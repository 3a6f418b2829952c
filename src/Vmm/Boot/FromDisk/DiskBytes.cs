using Exitless.Linux;
using Exitless.Vmm.Control;
using Exitless.Vmm.Disks;

namespace Exitless.Vmm.Boot.FromDisk;

/// <summary>A part of a disk, read for booting. What lies outside of it, or cannot be read, is a problem in words: nobody has checked what is on the disk.</summary>
internal sealed unsafe class DiskBytes(IDisk disk, long start, long length)
{
    public long Length => length;

    /// <summary>A part of this part.</summary>
    public DiskBytes Part(long offset, long bytes) =>
        offset >= 0 && bytes >= 0 && offset <= length && bytes <= length - offset ? new DiskBytes(disk, start + offset, bytes) : throw Corrupt($"a part of {bytes:#,0} bytes at {offset:#,0} does not lie in the {length:#,0} bytes around it");

    /// <summary>Fills a buffer.</summary>
    /// <exception cref="VmmProblemException">boot-disk-corrupt, boot-disk-unreadable.</exception>
    public void Read(long offset, Span<byte> buffer)
    {
        if (offset < 0 || offset > length || buffer.Length > length - offset)
            throw Corrupt($"{buffer.Length:#,0} bytes at {offset:#,0} lie outside of the {length:#,0} bytes there are");
        fixed (byte* first = buffer)
        {
            var vector = new IoVector(first, (nuint)buffer.Length);
            var error = disk.Read(new ReadOnlySpan<IoVector>(ref vector), start + offset);
            if (error != 0)
                throw new VmmProblemException("boot-disk-unreadable", "The boot disk cannot be read.", $"{new LinuxException($"read of {buffer.Length:#,0} bytes at {start + offset:#,0}", error).Message}.", "Look at the disk's file (qemu-img check, dmesg).", "bootDisk");
        }
    }

    /// <summary>What is on the disk contradicts itself.</summary>
    public static VmmProblemException Corrupt(string detail) =>
        new("boot-disk-corrupt", "The boot disk's file system is corrupt.", $"{char.ToUpperInvariant(detail[0])}{detail[1..]}.", "Check it (fsck), or give the VM a kernel of its own.", "bootDisk");
}
