namespace Exitless.Lab.Cache;

/// <summary>
/// apt with a configuration, lists and archives of its own inside the cache. It reads the machine's sources and package
/// database and changes neither, so it needs no root.
/// </summary>
internal sealed class AptSession
{
    private const string Remedy = "Check this machine's network and its apt sources (`apt-get update` must work), then run `exitless-lab prepare` again.";
    private readonly string _folder;
    private readonly string _configuration;

    private AptSession(string folder)
    {
        _folder = folder;
        _configuration = Path.Combine(folder, "apt.conf");
    }

    /// <summary>Writes the configuration and the sources, and fetches the package lists.</summary>
    public static async Task<AptSession> OpenAsync(string cache, AptSource source, DebianRelease release, CancellationToken cancel)
    {
        var session = new AptSession(Path.Combine(cache, "apt"));
        foreach (var needed in (string[])["lists/partial", "cache/archives/partial", "log"])
            Directory.CreateDirectory(Path.Combine(session._folder, needed));
        string[] suites = [release.Codename, .. release.Suite == release.Codename ? Array.Empty<string>() : [release.Suite]];
        var list = Path.Combine(session._folder, "lab.sources");
        await File.WriteAllTextAsync(list, source.WithSuites(suites), cancel);
        // A copy, so that apt's locks beside it are ours. Without one, everything counts as missing, which is only slower.
        var status = Path.Combine(session._folder, "status");
        await File.WriteAllTextAsync(status, File.Exists("/var/lib/dpkg/status") ? await File.ReadAllTextAsync("/var/lib/dpkg/status", cancel) : "", cancel);
        await File.WriteAllTextAsync(session._configuration, $"""
            #clear APT::Update::Pre-Invoke;
            #clear APT::Update::Post-Invoke;
            #clear APT::Update::Post-Invoke-Success;
            #clear DPkg::Pre-Install-Pkgs;
            #clear DPkg::Post-Invoke;
            Dir::Etc::SourceList "{list}";
            Dir::Etc::SourceParts "-";
            Dir::Etc::Preferences "-";
            Dir::Etc::PreferencesParts "-";
            Dir::State "{session._folder}";
            Dir::State::Lists "{session._folder}/lists";
            Dir::State::Status "{status}";
            Dir::Cache "{session._folder}/cache";
            Dir::Cache::Archives "{session._folder}/cache/archives";
            Dir::Log "{session._folder}/log";
            APT::Architecture "amd64";
            APT::Default-Release "{release.Suite}";
            APT::Sandbox::User "";
            APT::Install-Recommends "false";
            Acquire::Languages "none";
            Acquire::Retries "3";

            """, cancel);
        await session.GetAsync("/", ["update", "--error-on=any"], cancel);
        return session;
    }

    /// <summary>Versions of packages whose names match a regular expression, in the suites of this session.</summary>
    public async Task<IReadOnlyList<AptPackage>> FindAsync(string expression, CancellationToken cancel)
    {
        var names = (await Tool.TextAsync("apt-cache", ["-c", _configuration, "search", "--names-only", expression], Remedy, cancel))
            .Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split(' ')[0]).ToList();
        return names.Count == 0 ? []
            : AptPackage.Read(await Tool.TextAsync("apt-cache", ["-c", _configuration, "show", .. names], Remedy, cancel));
    }

    /// <summary>Downloads packages, with whatever they depend on that the machine lacks, and unpacks them into one folder.</summary>
    public async Task<IReadOnlyList<AptPackage>> UnpackWithDependenciesAsync(string folder, CancellationToken cancel, params string[] packages)
        => await UnpackAsync(folder, archives => GetAsync("/",
            ["-o", "Dir::Cache::Archives=" + archives, "install", "--yes", "--download-only", "--reinstall", .. packages], cancel), cancel);

    /// <summary>Downloads one package by itself and unpacks it.</summary>
    public async Task<IReadOnlyList<AptPackage>> UnpackAloneAsync(string folder, string package, CancellationToken cancel)
        => await UnpackAsync(folder, archives => GetAsync(archives, ["download", package], cancel), cancel);

    private async Task<IReadOnlyList<AptPackage>> UnpackAsync(string folder, Func<string, Task> download, CancellationToken cancel)
    {
        var archives = Path.Combine(_folder, "cache", Path.GetRandomFileName());
        Directory.CreateDirectory(Path.Combine(archives, "partial"));
        try
        {
            await download(archives);
            Directory.CreateDirectory(folder);
            var packages = new List<AptPackage>();
            foreach (var archive in Directory.GetFiles(archives, "*.deb").Order(StringComparer.Ordinal))
            {
                var fields = await Tool.TextAsync("dpkg-deb", ["--field", archive, "Package", "Version"], Remedy, cancel);
                packages.AddRange(AptPackage.Read(fields));
                await Tool.TextAsync("dpkg-deb", ["--extract", archive, folder],
                    $"Check that {folder} may be written and has room (about 500 MB), then run `exitless-lab prepare` again.", cancel);
            }
            return packages;
        }
        finally
        {
            Directory.Delete(archives, recursive: true);
        }
    }

    // apt-get download writes into the folder it runs in.
    private async Task GetAsync(string folder, string[] arguments, CancellationToken cancel)
        => await Tool.TextAsync("env", ["--chdir=" + folder, "DEBIAN_FRONTEND=noninteractive", "apt-get", "-c", _configuration, "-qq", .. arguments], Remedy, cancel);
}
