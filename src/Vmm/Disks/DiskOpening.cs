using Exitless.Linux;
using Exitless.Vmm.Control;
using Exitless.Vmm.Disks.Qcow2;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Disks;

/// <summary>Makes disks of the descriptors that came with a launch; everything that can be wrong with a file is said here, before the VM exists.</summary>
internal static class DiskOpening
{
    public const int SectorBytes = 512;
    private const int MostBacking = 16, MostIdBytes = 20;

    /// <summary>Checks what needs no descriptor.</summary>
    /// <exception cref="VmmProblemException">disk-id-invalid, disk-serial-invalid, disk-twice, disk-chain-too-long.</exception>
    public static void Check(IReadOnlyList<DiskConfig> disks)
    {
        for (var i = 0; i < disks.Count; i++)
        {
            var disk = disks[i];
            var field = $"disks[{i}]";
            if (disk.Id.Length is 0 or > MostIdBytes || !disk.Id.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.'))
                throw new VmmProblemException("disk-id-invalid", "A disk's id cannot be one.", $"It is `{disk.Id}`; an id has 1 to {MostIdBytes} letters, digits, hyphens, dots and underscores.", "Choose another id.", field);
            if (disk.Serial.Length > MostIdBytes || disk.Serial.Any(c => c is < ' ' or > '~'))
                throw new VmmProblemException("disk-serial-invalid", "A disk's serial number cannot be one.", $"It is `{disk.Serial}`; a serial number has at most {MostIdBytes} printable characters of ASCII.", "Shorten it.", field);
            if (disk.BackingFormats.Count > MostBacking)
                throw new VmmProblemException("disk-chain-too-long", "A disk has too long a chain of backing files.", $"{disk.Id} has {disk.BackingFormats.Count}; {MostBacking} are allowed.", "Merge some of them (qemu-img convert or commit).", field);
            if (disks.Take(i).Any(d => d.Id == disk.Id))
                throw new VmmProblemException("disk-twice", "Two disks have the same id.", $"{disk.Id} is in the list twice.", "Give each disk an id of its own.", field);
        }
    }

    /// <summary>Opens a disk and its chain.</summary>
    /// <param name="config">The disk.</param>
    /// <param name="files">Its file, then its backing files; they go over to the disk.</param>
    /// <param name="field">The member of the configuration, for problems.</param>
    /// <exception cref="VmmProblemException">disk-unreadable, disk-not-writable, disk-not-sectors, disk-empty; and those of the format.</exception>
    public static IDisk Open(DiskConfig config, ReadOnlySpan<SafeFileHandle> files, string field)
    {
        IDisk? below = null;
        try
        {
            for (var i = files.Length - 1; i >= 0; i--)
            {
                var format = i == 0 ? config.Format : config.BackingFormats[i - 1];
                below = OpenOne(config, format, files[i], below, isReadOnly: i > 0 || config.IsReadOnly, field);
            }
            return below!;
        }
        catch (LinuxException e)
        {
            below?.Dispose();
            throw new VmmProblemException("disk-unreadable", "A disk's file cannot be read.", $"Disk {config.Id}: {e.Message}.", "Choose a regular file or a block device that works.", field, e);
        }
        catch
        {
            below?.Dispose();
            throw;
        }
    }

    private static IDisk OpenOne(DiskConfig config, DiskFormat format, SafeFileHandle handle, IDisk? below, bool isReadOnly, string field)
    {
        if (FileKinds.Of(handle) is not (FileKind.Regular or FileKind.BlockDevice) and var kind)
            throw new VmmProblemException("disk-unreadable", "A disk's file is no file.", $"Disk {config.Id} is a {kind}.", "Choose a regular file or a block device.", field);
        if (!isReadOnly && !FileKinds.IsReadWrite(handle))
            throw new VmmProblemException("disk-not-writable", "A disk's file is open for reading only.", $"Disk {config.Id} is not said to be read-only.", "Make the file writable, or the disk read-only.", field);
        var file = new DiskFile(handle);
        if (format == DiskFormat.Raw && below is not null)
            throw new VmmProblemException("disk-chain-broken", "A raw disk has no backing file.", $"Disk {config.Id} came with one.", "Leave the backing files of raw disks away.", field);
        if (format == DiskFormat.Qcow2)
            return Qcow2Disk.Open(file, below, isReadOnly, below is null && isReadOnly && !config.IsReadOnly ? $"A backing file of disk {config.Id}" : $"Disk {config.Id}", field);
        var size = file.Size;
        if (size == 0)
            throw new VmmProblemException("disk-empty", "A disk's file is empty.", $"Disk {config.Id} has 0 bytes.", "Make it as large as the disk shall be (truncate -s 10G FILE).", field);
        if (size % SectorBytes != 0)
        {
            throw new VmmProblemException("disk-not-sectors", "A disk is not made of whole sectors.", $"Disk {config.Id} has {size:#,0} bytes; a sector has {SectorBytes}.",
                $"Make it {(size + SectorBytes - 1) / SectorBytes * SectorBytes:#,0} bytes long (truncate -s), or say its true format.", field);
        }
        return new RawDisk(file, size, isReadOnly);
    }
}
