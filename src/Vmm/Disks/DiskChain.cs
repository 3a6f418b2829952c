using Exitless.Linux;
using Exitless.Vmm.Control;
using Exitless.Vmm.Disks.Qcow2;

namespace Exitless.Vmm.Disks;

/// <summary>
/// Finds the backing files of a disk, for whoever opens files on the VMM's behalf. An image is not trusted: it may only name files of its own
/// folder, or it could show a guest any file of the host; and it must say their format, because a guess could be steered by a guest.
/// </summary>
public static class DiskChain
{
    private const int MostFiles = 16;

    /// <summary>The backing files of a disk, the nearest first.</summary>
    /// <param name="path">The disk's own file.</param>
    /// <param name="format">Its format.</param>
    /// <param name="field">The member of the configuration, for problems.</param>
    /// <exception cref="VmmProblemException">disk-unreadable, disk-not-qcow2, disk-qcow2-unsupported, disk-qcow2-corrupt, disk-backing-outside, disk-backing-format, disk-chain-too-long.</exception>
    public static IReadOnlyList<(string Path, DiskFormat Format)> Backing(string path, DiskFormat format, string field)
    {
        var found = new List<(string, DiskFormat)>();
        while (format == DiskFormat.Qcow2)
        {
            var header = Read(path, field);
            if (header.BackingFile is not { } name)
                break;
            if (found.Count == MostFiles)
                throw new VmmProblemException("disk-chain-too-long", "A disk has too long a chain of backing files.", $"{path} is number {MostFiles} and has another one; {MostFiles} are allowed.", "Merge some of them (qemu-img convert or commit).", field);
            var folder = Path.GetDirectoryName(Real(path))!;
            var next = Real(Path.Combine(folder, name));
            if (Path.GetDirectoryName(next) != folder)
                throw new VmmProblemException("disk-backing-outside", "An image names a backing file outside of its own folder.", $"{path} names {name}.", "Put both into one folder and rebase (qemu-img rebase -u -b NAME -F FORMAT).", field);
            format = header.BackingFormat switch
            {
                "raw" => DiskFormat.Raw,
                "qcow2" => DiskFormat.Qcow2,
                var other => throw new VmmProblemException("disk-backing-format", "An image does not say what its backing file is.",
                    $"{path} says {(other is null ? "nothing" : $"`{other}`")} of {name}; raw and qcow2 are known.", "Write it down (qemu-img rebase -u -b NAME -F FORMAT).", field),
            };
            found.Add((next, format));
            path = next;
        }
        return found;
    }

    private static string Real(string path) => File.ResolveLinkTarget(path, returnFinalTarget: true)?.FullName ?? Path.GetFullPath(path);

    private static Qcow2Header Read(string path, string field)
    {
        try
        {
            using var file = Files.Open(path, OpenMode.Read);
            var size = Files.Size(file);
            var head = new byte[Math.Min(size, Qcow2Header.HeadBytes)];
            Files.ReadExactlyAt(file, head, 0);
            return Qcow2Header.Parse(head, size, path, field);
        }
        catch (Exception e) when (e is LinuxException or IOException)
        {
            throw new VmmProblemException("disk-unreadable", "A disk's file cannot be read.", $"{e.Message}.", "Check the path and its permissions.", field, e);
        }
    }
}
