using System.Globalization;
using System.Text;
using Exitless.Lab.Cache;

namespace Exitless.Lab.Machine;

/// <summary>The folder of one host while it runs: console log, sockets, process id. A lock in it says that the host runs.</summary>
internal sealed class RunFolder
{
    // sun_path has 108 bytes, the last of them a zero (unix(7)).
    private const int LongestSocketPath = 107;

    private RunFolder(string path) => Root = path;

    /// <summary>The folder itself.</summary>
    public string Root { get; }

    public string Console => Path.Combine(Root, "console.log");
    public string QemuLog => Path.Combine(Root, "qemu.log");
    public string Qmp => Path.Combine(Root, "qmp.sock");
    public string ProcessId => Path.Combine(Root, "qemu.pid");
    public string Initramfs => Path.Combine(Root, "initramfs");
    public string GuestInitrd => Path.Combine(Root, "demo.initrd");
    public string NvmeDisk => Path.Combine(Root, "nvme.img");
    public string Shell(int slot) => Path.Combine(Root, $"shell{slot}.sock");
    public string ShellLock(int slot) => Path.Combine(Root, $"shell{slot}.lock");
    private string Lock => Path.Combine(Root, "lock");

    /// <summary>Where hosts' folders are when nobody says otherwise.</summary>
    public static string DefaultRoot => Path.Combine(LabCache.Root, "hosts");

    /// <summary>The folder of a host, by name; nothing is touched.</summary>
    public static RunFolder Of(string? root, string name)
    {
        var folder = new RunFolder(Path.GetFullPath(Path.Combine(root ?? DefaultRoot, name)));
        var length = Encoding.UTF8.GetByteCount(folder.Shell(0));
        return length <= LongestSocketPath ? folder
            : throw new LabException($"The host's sockets would have paths of {length} bytes ({folder.Shell(0)}); a Unix socket's path has at most {LongestSocketPath}.",
                "Choose a shorter run folder (--run-folder) or a shorter name.");
    }

    /// <summary>Names of hosts that run under a root.</summary>
    public static IEnumerable<string> Running(string? root)
    {
        root ??= DefaultRoot;
        return Directory.Exists(root)
            ? Directory.GetDirectories(root).Select(Path.GetFileName).OfType<string>().Order(StringComparer.Ordinal).Where(name => Of(root, name).IsHeld())
            : [];
    }

    /// <summary>Takes the folder for a new host and empties it.</summary>
    /// <exception cref="LabException">A host of that name runs.</exception>
    public FileStream Take()
    {
        Directory.CreateDirectory(Root, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        var held = FileLock.TryTake(Lock)
            ?? throw new LabException($"A host of this name runs already, in {Root}.", "Stop it first (`exitless-lab stop --name …`), or choose another name.");
        foreach (var old in Directory.GetFiles(Root).Where(f => f != Lock))
            File.Delete(old);
        return held;
    }

    /// <summary>Whether a host runs from this folder.</summary>
    public bool IsHeld()
    {
        if (!File.Exists(Lock))
            return false;
        using var free = FileLock.TryTake(Lock);
        return free is null;
    }

    /// <summary>The id of the host's QEMU process.</summary>
    public int ReadProcessId() => int.Parse(File.ReadAllText(ProcessId), CultureInfo.InvariantCulture);

    /// <summary>Removes the large files; logs stay for reading.</summary>
    public void RemoveImages()
    {
        foreach (var file in (string[])[Initramfs, GuestInitrd, NvmeDisk])
            File.Delete(file);
    }
}
