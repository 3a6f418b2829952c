using Exitless.Contracts;

namespace Exitless.Agent.Inventory;

/// <summary>The kernels and initrds that guests may boot: files in one folder, named without path.</summary>
internal sealed class ImageFolder(string path)
{
    public const string KernelSuffix = ".vmlinuz";
    public const string InitrdSuffix = ".initrd";

    public string Path { get; } = path;

    public IReadOnlyList<Image> List()
    {
        if (!Directory.Exists(Path))
            return [];
        return
        [
            .. new DirectoryInfo(Path).EnumerateFiles()
                .Select(f => (File: f, Kind: KindOf(f.Name)))
                .Where(f => f.Kind is not null)
                .OrderBy(f => f.File.Name, StringComparer.Ordinal)
                .Select(f => new Image { Name = f.File.Name, Kind = f.Kind, Bytes = (ulong)f.File.Length }),
        ];
    }

    /// <summary>The file of an image; null where there is none of that name and kind.</summary>
    /// <param name="suffix"><see cref="KernelSuffix"/> or <see cref="InitrdSuffix"/>.</param>
    public string? Find(string name, string suffix)
    {
        // A name is never a path: the agent is root and the name comes over the wire.
        if (name.Length == 0 || name.Contains('/', StringComparison.Ordinal) || name.StartsWith('.') || !name.EndsWith(suffix, StringComparison.Ordinal))
            return null;
        var file = System.IO.Path.Combine(Path, name);
        return File.Exists(file) ? file : null;
    }

    private static string? KindOf(string name) =>
        name.StartsWith('.') ? null
        : name.EndsWith(KernelSuffix, StringComparison.Ordinal) ? "kernel"
        : name.EndsWith(InitrdSuffix, StringComparison.Ordinal) ? "initrd"
        : null;
}
