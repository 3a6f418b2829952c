using System.Text.Json;
using System.Text.Json.Serialization;

namespace Exitless.Lab.Cache;

/// <summary>What <c>prepare</c> made: paths inside the cache, and the packages they came from with their versions.</summary>
/// <param name="Recipe">Number of the recipe that unpacked the files; another number means unpack again.</param>
/// <param name="Qemu">Folder of the unpacked QEMU packages.</param>
/// <param name="Linux">Folder of the unpacked kernel package.</param>
/// <param name="KernelRelease">The kernel's release, as <c>uname -r</c> shows it.</param>
/// <param name="Commands">Folder of the unpacked static busybox.</param>
/// <param name="Ethtool">Folder of the unpacked ethtool, with libraries of its own that the machine lacks.</param>
/// <param name="Libraries">Folder of shared libraries the machine itself lacks; may be empty.</param>
/// <param name="Packages">Package name to version.</param>
internal sealed record LabFiles(
    int Recipe, string Qemu, string Linux, string KernelRelease, string Commands, string Ethtool, string Libraries, IReadOnlyDictionary<string, string> Packages)
{
    /// <summary>Raised when the layout of the cache changes.</summary>
    public const int CurrentRecipe = 3;

    /// <summary>The kernel image (bzImage).</summary>
    [JsonIgnore]
    public string Kernel => Path.Combine(Linux, "boot", "vmlinuz-" + KernelRelease);

    /// <summary>The kernel's modules (<c>lib/modules/RELEASE</c>); packages of a merged /usr have them under it.</summary>
    [JsonIgnore]
    public string Modules => FirstThere(Path.Combine(Linux, "lib/modules", KernelRelease), Path.Combine(Linux, "usr/lib/modules", KernelRelease));

    /// <summary>The static busybox.</summary>
    [JsonIgnore]
    public string Busybox => FirstThere(Path.Combine(Commands, "bin/busybox"), Path.Combine(Commands, "usr/bin/busybox"));

    /// <summary>The ethtool program.</summary>
    [JsonIgnore]
    public string EthtoolProgram => FirstThere(Path.Combine(Ethtool, "sbin/ethtool"), Path.Combine(Ethtool, "usr/sbin/ethtool"));

    /// <summary>Reads the stamp of an earlier <c>prepare</c>; null where there is none that still holds.</summary>
    public static LabFiles? Read(string cache)
    {
        var stamp = Stamp(cache);
        if (!File.Exists(stamp))
            return null;
        LabFiles? files;
        try
        {
            files = JsonSerializer.Deserialize(File.ReadAllText(stamp), LabFilesJson.Default.LabFiles);
        }
        catch (JsonException)
        {
            return null;
        }
        return files is { Recipe: CurrentRecipe } && File.Exists(files.Kernel) && File.Exists(files.Busybox) && File.Exists(files.EthtoolProgram)
            && Directory.Exists(files.Modules) && Directory.Exists(files.Libraries) && File.Exists(Path.Combine(files.Qemu, "usr/bin/qemu-system-x86_64"))
            ? files : null;
    }

    /// <summary>Writes the stamp, last of all, so that it never names what is not there.</summary>
    public void Write(string cache)
    {
        var part = Stamp(cache) + ".part";
        File.WriteAllText(part, JsonSerializer.Serialize(this, LabFilesJson.Default.LabFiles));
        File.Move(part, Stamp(cache), overwrite: true);
    }

    private static string FirstThere(string first, string second) => Path.Exists(first) || !Path.Exists(second) ? first : second;

    // Checkouts of different ages share one cache, each with its own stamp.
    internal static string Stamp(string cache) => Path.Combine(cache, $"lab-{CurrentRecipe}.json");
}

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(LabFiles))]
internal sealed partial class LabFilesJson : JsonSerializerContext;
