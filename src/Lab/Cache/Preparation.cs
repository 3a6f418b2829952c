using System.Text.RegularExpressions;

namespace Exitless.Lab.Cache;

/// <summary>Fills the cache: QEMU, a kernel with its modules, busybox, and libraries for the agent, all from the machine's own Debian archive.</summary>
internal static partial class Preparation
{
    private const string KernelSeries = "6.12";
    private static readonly Version OldestQemu = new(10, 0);

    /// <summary>Makes sure that the cache is filled. With a stamp that holds this is instant and needs no network.</summary>
    /// <param name="cache">The cache folder.</param>
    /// <param name="renew">Look for newer packages even so.</param>
    /// <param name="progress">Takes lines for a person.</param>
    /// <param name="cancel">Stops it; nothing half unpacked is ever used.</param>
    public static async Task<LabFiles> EnsureAsync(string cache, bool renew, Action<string> progress, CancellationToken cancel)
    {
        if (!renew && LabFiles.Read(cache) is { } ready)
            return ready;
        Directory.CreateDirectory(cache);
        using var turn = await FileLock.TakeAsync(Path.Combine(cache, "lock"), () => progress("waiting for another exitless-lab that fills the cache"), cancel);
        if (!renew && LabFiles.Read(cache) is { } made)
            return made;
        var files = await FillAsync(cache, progress, cancel);
        files.Write(cache);
        RemoveOthers(files);
        return files;
    }

    // Older versions, and what an interrupted run left. A host that runs has its files open and does not need their names.
    private static void RemoveOthers(LabFiles files)
    {
        foreach (var kept in (string[])[files.Qemu, files.Linux, files.Commands, files.Ethtool, files.Libraries])
        {
            foreach (var other in Directory.GetDirectories(Path.GetDirectoryName(kept)!).Where(f => f != kept))
                Directory.Delete(other, recursive: true);
        }
    }

    private static async Task<LabFiles> FillAsync(string cache, Action<string> progress, CancellationToken cancel)
    {
        var release = DebianRelease.Read(await File.ReadAllTextAsync("/etc/os-release", cancel));
        var source = AptSourceReader.FindMain(AptSourceReader.ReadAll("/etc/apt"), release.Codename, release.Number == 12 ? ["oldstable"] : ["stable"]);
        progress($"reading the package lists of {release.Suite}");
        var apt = await AptSession.OpenAsync(cache, source, release, cancel);
        var kernel = AptPackage.NewestKernel(await apt.FindAsync($@"^linux-image-{Regex.Escape(KernelSeries)}\.[0-9].*-amd64$", cancel), KernelSeries);
        var packages = new SortedDictionary<string, string>(StringComparer.Ordinal);

        var linux = await StoreAsync(cache, "linux", kernel, packages, progress, folder => apt.UnpackAloneAsync(folder, $"{kernel.Name}={kernel.Version}", cancel));
        var emulator = await NewestAsync("qemu-system-x86");
        var qemu = await StoreAsync(cache, "qemu", emulator, packages, progress, folder => apt.UnpackWithDependenciesAsync(
            folder, cancel, $"{emulator.Name}={emulator.Version}", "qemu-system-common", "qemu-system-data", "seabios", "ipxe-qemu"));
        var shell = await NewestAsync("busybox-static");
        var busybox = await StoreAsync(cache, "busybox", shell, packages, progress, folder => apt.UnpackAloneAsync(folder, $"{shell.Name}={shell.Version}", cancel));
        var tuner = await NewestAsync("ethtool");
        var ethtool = await StoreAsync(cache, "ethtool", tuner, packages, progress, folder => apt.UnpackWithDependenciesAsync(folder, cancel, $"{tuner.Name}={tuner.Version}"));
        var libraries = await LibrariesAsync();
        await CheckQemuAsync(qemu, cancel);

        var image = Directory.GetFiles(Path.Combine(linux, "boot"), "vmlinuz-*").Single();
        return new LabFiles(LabFiles.CurrentRecipe, qemu, linux, Path.GetFileName(image)["vmlinuz-".Length..], busybox, ethtool, libraries, packages);

        async Task<AptPackage> NewestAsync(string name)
            => (await apt.FindAsync($"^{Regex.Escape(name)}$", cancel)).MaxBy(p => p.Version)
                ?? throw new LabException($"This machine's Debian archive has no package {name}.", "Use a complete mirror, then run `exitless-lab prepare` again.");

        // The agent was linked on this machine, so the machine's own libraries fit it best; a machine without OpenSSL 3 gets a copy in the cache.
        async Task<string> LibrariesAsync()
        {
            if (await SharedLibraries.FindAsync("libssl.so.3", null, cancel) is null)
                return await StoreAsync(cache, "openssl", await NewestAsync(release.Number == 12 ? "libssl3" : "libssl3t64"), packages, progress,
                    folder => apt.UnpackAloneAsync(folder, release.Number == 12 ? "libssl3" : "libssl3t64", cancel));
            var none = Path.Combine(cache, "openssl", "of-this-machine");
            Directory.CreateDirectory(none);
            return none;
        }
    }

    // One folder a version; a folder under its final name is complete, because it gets that name last.
    private static async Task<string> StoreAsync(string cache, string kind, AptPackage package, SortedDictionary<string, string> packages, Action<string> progress,
        Func<string, Task<IReadOnlyList<AptPackage>>> unpack)
    {
        // No colon (the epoch's): the dynamic loader's search path could not hold it.
        var folder = Path.Combine(cache, kind, package.Version.Text.Replace(':', '_'));
        packages[package.Name] = package.Version.Text;
        if (Directory.Exists(folder))
        {
            progress($"{package.Name} {package.Version} is there");
            return folder;
        }
        progress($"fetching and unpacking {package.Name} {package.Version}");
        var part = folder + ".part";
        if (Directory.Exists(part))
            Directory.Delete(part, recursive: true);
        var unpacked = await unpack(part);
        if (unpacked.FirstOrDefault(p => p.Name == package.Name) is not { } got || got.Version != package.Version)
            throw new LabException($"apt fetched {string.Join(", ", unpacked)} and not {package.Name} {package.Version}.",
                "Another apt configuration interferes (pins, a proxy that serves old files); look at `apt-config dump` and try again.");
        Directory.Move(part, folder);
        return folder;
    }

    private static async Task CheckQemuAsync(string qemu, CancellationToken cancel)
    {
        var program = new QemuProgram(qemu);
        var result = await Tool.TryAsync(program.File, [.. program.LeadingArguments, "--version"], cancel, program.Environment);
        var version = QemuVersion().Match(result.Output);
        if (result.ExitCode != 0 || !version.Success)
            throw new LabException($"The unpacked QEMU does not start: {result.Errors.Trim()}.", $"Remove {qemu} and run `exitless-lab prepare` again.");
        if (Version.Parse(version.Groups["number"].Value) < OldestQemu)
            throw new LabException($"The archive's QEMU is {version.Groups["number"].Value}; the lab needs {OldestQemu} or later (SR-IOV NIC and x2APIC under emulation).",
                "Use a mirror that carries the backports suite.");
    }

    [GeneratedRegex(@"version (?<number>\d+\.\d+)", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex QemuVersion();
}
