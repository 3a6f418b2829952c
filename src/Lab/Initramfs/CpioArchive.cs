using System.Globalization;
using System.Text;

namespace Exitless.Lab.Initramfs;

/// <summary>
/// Writes the "newc" archive that the kernel unpacks as its first file system
/// (kernel: Documentation/driver-api/early-userspace/buffer-format.rst). Everything belongs to root and has no date, so
/// that equal input gives equal bytes.
/// </summary>
internal sealed class CpioArchive(Stream output) : IDisposable
{
    private const uint Folder = 0x4000, Character = 0x2000, Regular = 0x8000, Link = 0xA000;
    private readonly HashSet<string> _names = new(StringComparer.Ordinal);
    private uint _inode;
    private long _written;

    /// <summary>Adds a folder and those above it; a folder that is there already is left alone.</summary>
    public void AddFolder(string path, uint mode = 0x1ED /* 0755 */)
    {
        var name = Normalize(path);
        if (name.Length == 0 || _names.Contains(name))
            return;
        AddParents(name);
        Begin(name, Folder | mode, 2, 0, 0, 0);
    }

    /// <summary>Adds a file of bytes.</summary>
    public void AddFile(string path, uint mode, ReadOnlySpan<byte> content)
    {
        BeginFile(path, mode, content.Length);
        output.Write(content);
        _written += content.Length;
        Pad();
    }

    /// <summary>Adds a text file.</summary>
    public void AddText(string path, uint mode, string content) => AddFile(path, mode, Encoding.UTF8.GetBytes(content));

    /// <summary>Adds a copy of a file of this machine.</summary>
    public void AddCopy(string path, uint mode, string file)
    {
        using var input = File.OpenRead(file);
        var length = input.Length;
        BeginFile(path, mode, length);
        input.CopyTo(output);
        if (input.Position != length)
            throw new LabException($"{file} changed from {length} to {input.Position} bytes while it was read.", "Try again when nobody writes it.");
        _written += length;
        Pad();
    }

    /// <summary>Adds a symbolic link.</summary>
    public void AddLink(string path, string target)
    {
        var bytes = Encoding.UTF8.GetBytes(target);
        var name = Fresh(path);
        Begin(name, Link | 0x1FF, 1, bytes.Length, 0, 0);
        output.Write(bytes);
        _written += bytes.Length;
        Pad();
    }

    /// <summary>Adds a character device; no privilege is needed, it is only a line in the archive.</summary>
    public void AddCharacterDevice(string path, uint mode, uint major, uint minor)
        => Begin(Fresh(path), Character | mode, 1, 0, major, minor);

    /// <summary>Writes the trailer. The stream stays open.</summary>
    public void Dispose()
    {
        Begin("TRAILER!!!", 0, 1, 0, 0, 0);
        output.Flush();
    }

    private void BeginFile(string path, uint mode, long length)
        => Begin(Fresh(path), Regular | mode, 1, length, 0, 0);

    private string Fresh(string path)
    {
        var name = Normalize(path);
        if (name.Length == 0 || _names.Contains(name))
            throw new LabException($"`{path}` cannot be put into the initramfs: {(name.Length == 0 ? "it names the root" : "that path is taken")}.", "Choose another path.");
        AddParents(name);
        return name;
    }

    private void AddParents(string name)
    {
        for (var slash = name.IndexOf('/'); slash > 0; slash = name.IndexOf('/', slash + 1))
            AddFolder(name[..slash]);
    }

    private void Begin(string name, uint mode, uint links, long size, uint major, uint minor)
    {
        if (size > uint.MaxValue)
            throw new LabException($"`{name}` has {size} bytes; an initramfs holds files below 4 GiB.", "Leave it out, or share its folder with the host instead.");
        _names.Add(name);
        var nameBytes = Encoding.UTF8.GetBytes(name);
        uint[] fields = [++_inode, mode, 0, 0, links, 0, (uint)size, 0, 0, major, minor, (uint)nameBytes.Length + 1, 0];
        var header = "070701" + string.Concat(fields.Select(f => f.ToString("x8", CultureInfo.InvariantCulture)));
        output.Write(Encoding.ASCII.GetBytes(header));
        output.Write(nameBytes);
        output.WriteByte(0);
        _written += header.Length + nameBytes.Length + 1;
        Pad();
    }

    // Names and contents both end on a multiple of 4 bytes.
    private void Pad()
    {
        for (; _written % 4 != 0; _written++)
            output.WriteByte(0);
    }

    private static string Normalize(string path)
    {
        var parts = path.Split('/', StringSplitOptions.RemoveEmptyEntries);
        return parts.Any(p => p is "." or ".." || p.Contains('\0'))
            ? throw new LabException($"`{path}` cannot be a path in the initramfs.", "Give an absolute path without `.` and `..`.")
            : string.Join('/', parts);
    }
}
