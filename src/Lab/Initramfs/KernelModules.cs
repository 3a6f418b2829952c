namespace Exitless.Lab.Initramfs;

/// <summary>A kernel module, ready to load: its name, its uncompressed bytes, the names of those it needs.</summary>
internal sealed record KernelModule(string Name, byte[] Content, IReadOnlyList<string> Depends);

/// <summary>Reads one module file and undoes its compression.</summary>
internal delegate Task<byte[]> ModuleReader(string file, CancellationToken cancel);

/// <summary>The modules of one kernel. Names compare with <c>-</c> and <c>_</c> alike, as the kernel itself does.</summary>
internal sealed class KernelModules
{
    private readonly Dictionary<string, string> _files = new(StringComparer.Ordinal);
    private readonly HashSet<string> _builtin = new(StringComparer.Ordinal);
    private readonly Dictionary<string, KernelModule> _read = new(StringComparer.Ordinal);
    private readonly ModuleReader _reader;

    /// <summary>Indexes a <c>lib/modules/RELEASE</c> folder.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="reader">Undoes the modules' compression.</param>
    /// <param name="instead">Files that take the place of the folder's of the same names.</param>
    public KernelModules(string folder, ModuleReader reader, IReadOnlyList<string>? instead = null)
    {
        _reader = reader;
        foreach (var file in Directory.EnumerateFiles(folder, "*.ko*", SearchOption.AllDirectories))
            _files[NameOf(file)] = file;
        foreach (var file in instead ?? [])
            _files[NameOf(file)] = file;
        var builtin = Path.Combine(folder, "modules.builtin");
        if (File.Exists(builtin))
            _builtin.UnionWith(File.ReadLines(builtin).Where(l => l.Length > 0).Select(NameOf));
    }

    /// <summary>The named modules and all they need, each after those it needs. What is built into the kernel is left out.</summary>
    public async Task<IReadOnlyList<KernelModule>> InLoadOrderAsync(IEnumerable<string> names, CancellationToken cancel)
    {
        var order = new List<KernelModule>();
        var done = new HashSet<string>(StringComparer.Ordinal);
        foreach (var name in names)
            await AddAsync(name, [], order, done, cancel);
        return order;
    }

    private async Task AddAsync(string name, IReadOnlyList<string> path, List<KernelModule> order, HashSet<string> done, CancellationToken cancel)
    {
        var key = Key(name);
        if (_builtin.Contains(key) || done.Contains(key))
            return;
        if (path.Contains(key, StringComparer.Ordinal))
            throw new LabException($"Kernel modules need each other in a circle: {string.Join(" → ", path)} → {key}.", "Use another kernel package.");
        if (!_files.TryGetValue(key, out var file))
            throw new LabException($"The kernel has no module {name}{(path.Count > 0 ? $", which {path[^1]} needs" : "")}.",
                "Run `exitless-lab prepare --renew`, or check the module's name.");
        if (!_read.TryGetValue(key, out var module))
        {
            var content = await _reader(file, cancel);
            module = _read[key] = new KernelModule(key, content, [.. KernelModuleInfo.Read(content, file).Depends.Select(Key)]);
        }
        foreach (var needed in module.Depends)
            await AddAsync(needed, [.. path, key], order, done, cancel);
        done.Add(key);
        order.Add(module);
    }

    /// <summary>A reader for plain modules and for those in xz, which it lets busybox undo.</summary>
    public static ModuleReader ReadWith(string busybox) => async (file, cancel) => Path.GetExtension(file) switch
    {
        ".ko" => await File.ReadAllBytesAsync(file, cancel),
        ".xz" => await Tool.BytesAsync(busybox, ["xz", "-dc", file], "Remove the folder `linux` from the lab's cache and run `exitless-lab prepare` again.", cancel),
        var other => throw new LabException($"The kernel's modules are compressed as `{other}`, which the lab cannot undo.", "Use a kernel package whose modules are xz-compressed or plain."),
    };

    private static string NameOf(string file)
    {
        var name = Path.GetFileName(file);
        return Key(name[..name.IndexOf(".ko", StringComparison.Ordinal)]);
    }

    private static string Key(string name) => name.Replace('-', '_');
}
