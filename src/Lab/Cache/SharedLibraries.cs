namespace Exitless.Lab.Cache;

/// <summary>Finds the shared libraries a program needs, with the machine's own loader (ldd(1), ldconfig(8)).</summary>
internal static class SharedLibraries
{
    private const string Remedy = "Install libc-bin, or give a program built for x86-64 Linux with glibc.";

    /// <summary>The file of a library by its soname; an extra folder tree is searched after the machine's own. Null when neither has it.</summary>
    public static async Task<string?> FindAsync(string soname, string? extra, CancellationToken cancel)
    {
        var ldconfig = ((string[])["/sbin/ldconfig", "/usr/sbin/ldconfig"]).FirstOrDefault(File.Exists) ?? "ldconfig";
        return ParseCache(await Tool.TextAsync(ldconfig, ["-p"], Remedy, cancel)).GetValueOrDefault(soname)
            ?? (extra is null ? null : Directory.EnumerateFiles(extra, soname, SearchOption.AllDirectories).FirstOrDefault());
    }

    /// <summary>Where Debian's x86-64 packages have libraries, under a folder they were unpacked into; a search path for the loader.</summary>
    public static string PathIn(string folder)
        => string.Join(':', Path.Combine(folder, "usr/lib/x86_64-linux-gnu"), Path.Combine(folder, "lib/x86_64-linux-gnu"));

    /// <summary>Everything a program or library loads at its start, itself not included: name inside the host, file on this machine.</summary>
    /// <param name="file">The program or library.</param>
    /// <param name="searchPath">Folders to look in before the machine's own; null for none.</param>
    /// <param name="cancel">Stops it.</param>
    public static async Task<IReadOnlyDictionary<string, string>> OfAsync(string file, string? searchPath, CancellationToken cancel)
    {
        var result = await Tool.TryAsync("ldd", [file], cancel,
            searchPath is null ? null : new Dictionary<string, string>(StringComparer.Ordinal) { ["LD_LIBRARY_PATH"] = searchPath });
        // A static program is no fault: ldd says so and ends with 1.
        return result.ExitCode == 0 ? ParseLdd(result.Output, file)
            : (result.Output + result.Errors).Contains("not a dynamic executable", StringComparison.Ordinal) ? new Dictionary<string, string>(StringComparer.Ordinal)
            : throw new LabException($"`ldd {file}` failed: {result.Errors.Trim()}.", Remedy);
    }

    /// <summary>Adds what <see cref="OfAsync"/> finds to the libraries of an image: absolute path in it, file on this machine.</summary>
    public static async Task CollectAsync(IDictionary<string, string> libraries, string file, string? searchPath, CancellationToken cancel)
    {
        foreach (var (name, path) in await OfAsync(file, searchPath, cancel))
            libraries[name.StartsWith('/') ? name : PathOf(name)] = path;
    }

    /// <summary>Where an image has a library.</summary>
    public static string PathOf(string soname) => "/usr/lib/x86_64-linux-gnu/" + soname;

    internal static IReadOnlyDictionary<string, string> ParseCache(string text)
    {
        var found = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var line in text.Split('\n'))
        {
            if (line.Contains("x86-64", StringComparison.Ordinal) && line.Split(" => ", 2) is [var left, var path])
                found.TryAdd(left.Trim().Split(' ')[0], path.Trim());
        }
        return found;
    }

    internal static IReadOnlyDictionary<string, string> ParseLdd(string text, string file)
    {
        var found = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var line in text.Split('\n').Select(l => l.Trim()))
        {
            var words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (line.Contains("=> not found", StringComparison.Ordinal))
                throw new LabException($"{file} needs {words[0]}, which this machine does not have.", "Install the package that has it.");
            if (words is [_, "=>", var path, ..] && path.StartsWith('/'))
                found[words[0]] = path;
            else if (words is [var loader, ..] && loader.StartsWith('/'))
                found[loader] = loader;
        }
        return found;
    }
}
