namespace Exitless.Lab.Cache;

/// <summary>How to start a QEMU that was unpacked into a folder and not installed: its program, its libraries, its firmware.</summary>
internal sealed class QemuProgram(string folder)
{
    private readonly string _libraries = SharedLibraries.PathIn(folder);

    // A C library among the unpacked packages works only with the loader of the same package.
    private readonly string? _loader = ((string[])["lib64/ld-linux-x86-64.so.2", "usr/lib64/ld-linux-x86-64.so.2", "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"])
        .Select(p => Path.Combine(folder, p)).FirstOrDefault(System.IO.File.Exists);

    private string Binary => Path.Combine(folder, "usr/bin/qemu-system-x86_64");

    /// <summary>The file to execute.</summary>
    public string File => _loader ?? Binary;

    /// <summary>Arguments that come before QEMU's own.</summary>
    public IReadOnlyList<string> LeadingArguments => _loader is null ? [] : ["--library-path", _libraries, Binary];

    /// <summary>Where QEMU finds its BIOS and option ROMs.</summary>
    public IReadOnlyList<string> FirmwareArguments =>
        [.. ((string[])["usr/share/seabios", "usr/share/qemu", "usr/lib/ipxe/qemu"]).Select(p => Path.Combine(folder, p)).Where(Directory.Exists).SelectMany(p => (string[])["-L", p])];

    /// <summary>Environment for the process.</summary>
    public IReadOnlyDictionary<string, string> Environment => new Dictionary<string, string>(StringComparer.Ordinal)
    {
        ["LD_LIBRARY_PATH"] = _libraries,
        ["QEMU_MODULE_DIR"] = Path.Combine(folder, "usr/lib/x86_64-linux-gnu/qemu"),
    };
}
