using System.Reflection;
using System.Security.Cryptography;
using System.Text;

namespace Exitless.Lab.Cache;

/// <summary>
/// KVM's modules with ELI for the lab's kernel, built once and kept in the cache: the kernel's source and headers come from the same archive and in the same version as the
/// kernel, the change from this program's own resources (src/Eli).
/// </summary>
/// <param name="Folder">Has kvm.ko and kvm-amd.ko, and under <c>headers</c> what modules of this kernel are built against.</param>
internal sealed record EliModules(string Folder)
{
    private const string Prefix = "eli/";
    // Versions of the change, each 250 MB.
    private const int Kept = 4;
    private const string SourcePackage = "linux-source-6.12";

    /// <summary>The two modules.</summary>
    public IReadOnlyList<string> Files => [Path.Combine(Folder, "kvm.ko"), Path.Combine(Folder, "kvm-amd.ko")];

    /// <summary>The folder that <c>make -C</c> takes to build a module of this kernel.</summary>
    public string Headers => Path.Combine(Folder, "headers");

    /// <summary>Builds them where they are not there yet: some minutes, and about 250 MB of packages.</summary>
    public static async Task<EliModules> EnsureAsync(string cache, LabFiles files, Action<string> progress, CancellationToken cancel)
    {
        var kernel = files.Packages.Single(p => p.Key.StartsWith("linux-image-", StringComparison.Ordinal));
        var kept = new KeptFolders(Path.Combine(cache, "eli"), Kept, TimeProvider.System);
        var version = $"{kernel.Value.Replace(':', '_')}-{Fingerprint()}";
        var folder = kept.PathOf(version);
        if (kept.Use(version))
            return new EliModules(folder);
        using var turn = await FileLock.TakeAsync(Path.Combine(cache, "lock"), () => progress("waiting for another exitless-lab that fills the cache"), cancel);
        if (kept.Use(version))
            return new EliModules(folder);
        var part = kept.Begin(version);
        var headers = await UnpackAsync(cache, part, kernel.Key["linux-image-".Length..], kernel.Value, progress, cancel);
        var change = Path.Combine(part, "change");
        WriteChange(change);
        progress("building kvm.ko and kvm-amd.ko with ELI");
        await Tool.TextAsync("bash", [Path.Combine(change, "build"), "--headers", headers, "--source", Path.Combine(part, "usr/src", SourcePackage + ".tar.xz"), "--output", part],
            "The log above says what is missing; `apt-get install make gcc patch xz-utils libelf1` installs the tools.", cancel);
        File.Delete(Path.Combine(part, "usr/src", SourcePackage + ".tar.xz"));
        Directory.Delete(change, recursive: true);
        Directory.CreateSymbolicLink(Path.Combine(part, "headers"), Path.GetRelativePath(part, headers));
        // The headers' makefile names its neighbour by a full path.
        await NameNeighbourAsync(headers, part, folder, cancel);
        kept.Finish(version);
        return new EliModules(folder);
    }

    private static async Task<string> UnpackAsync(string cache, string folder, string release, string version, Action<string> progress, CancellationToken cancel)
    {
        var debian = DebianRelease.Read(await File.ReadAllTextAsync("/etc/os-release", cancel));
        var source = AptSourceReader.FindMain(AptSourceReader.ReadAll("/etc/apt"), debian.Codename, debian.Number == 12 ? ["oldstable"] : ["stable"]);
        var apt = await AptSession.OpenAsync(cache, source, debian, cancel);
        var common = release[..release.LastIndexOf('-')];
        foreach (var package in (string[])[SourcePackage, $"linux-headers-{release}", $"linux-headers-{common}-common", $"linux-kbuild-{common}"])
        {
            progress($"fetching and unpacking {package} {version}");
            if (!(await apt.FindAsync($"^{System.Text.RegularExpressions.Regex.Escape(package)}$", cancel)).Any(p => p.Version.Text == version))
            {
                throw new LabException($"This machine's Debian archive has no {package} of version {version}, which the lab's kernel has.",
                    "Run `exitless-lab prepare --renew`, which takes the archive's newest kernel, then try again.");
            }
            await apt.UnpackAloneAsync(folder, $"{package}={version}", cancel);
        }
        var headers = Path.Combine(folder, "usr/src", $"linux-headers-{release}");
        await NameNeighbourAsync(headers, "", folder, cancel);
        return headers;
    }

    private static async Task NameNeighbourAsync(string headers, string before, string after, CancellationToken cancel)
    {
        var makefile = Path.Combine(headers, "Makefile");
        var text = await File.ReadAllTextAsync(makefile, cancel);
        await File.WriteAllTextAsync(makefile, text.Replace($"include {before}/usr/src/", $"include {after}/usr/src/", StringComparison.Ordinal), cancel);
    }

    private static IEnumerable<string> Names() => Assembly.GetExecutingAssembly().GetManifestResourceNames().Where(n => n.StartsWith(Prefix, StringComparison.Ordinal)).Order(StringComparer.Ordinal);

    private static byte[] Content(string name)
    {
        using var resource = Assembly.GetExecutingAssembly().GetManifestResourceStream(name)!;
        var content = new byte[resource.Length];
        resource.ReadExactly(content);
        return content;
    }

    // Another change is built anew.
    private static string Fingerprint()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var name in Names())
        {
            hash.AppendData(Encoding.UTF8.GetBytes(name));
            hash.AppendData(Content(name));
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset())[..12];
    }

    private static void WriteChange(string folder)
    {
        foreach (var name in Names())
        {
            var file = Path.Combine(folder, name[Prefix.Length..]);
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            File.WriteAllBytes(file, Content(name));
        }
    }
}
