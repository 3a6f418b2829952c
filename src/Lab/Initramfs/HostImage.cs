using Exitless.Lab.Cache;

namespace Exitless.Lab.Initramfs;

/// <summary>Builds the initramfs of an emulated host: commands, modules, libraries, the agent, and images for its guests.</summary>
internal sealed class HostImage(LabFiles files, LabHostOptions options, string managementMac)
{
    private static readonly string[] Load = ["virtio_net", "igb", "irqbypass", "kvm", "vfio", "vfio_iommu_type1", "vfio_pci"];
    // There, but for a test to load: the VF's own driver, and TAP interfaces.
    private static readonly string[] Spare = ["igbvf", "tun"];
    // What NativeAOT programs load at their start, and what .NET's TLS loads by name.
    private static readonly string[] Libraries = ["libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libgcc_s.so.1", "libstdc++.so.6", "libz.so.1"];
    private static readonly string[] TlsLibraries = ["libssl.so.3", "libcrypto.so.3"];

    public async Task WriteAsync(Stream output, string guestInitrd, CancellationToken cancel)
    {
        var busybox = new Busybox(files.Busybox);
        await WriteGuestAsync(guestInitrd, cancel);
        var modules = new KernelModules(files.Modules, KernelModules.ReadWith(files.Busybox), options.Modules);

        using var archive = new CpioArchive(output);
        await busybox.AddToAsync(archive, cancel);
        List<string> wanted = [.. Load];
        if (options.Svm)
            wanted.Add("kvm_amd");
        if (options.Nvme)
            wanted.Add("nvme");
        if (options.ShareFolder is not null)
            wanted.AddRange(["9pnet_virtio", "9p"]);
        var load = await modules.InLoadOrderAsync(wanted, cancel);
        Busybox.AddModules(archive, files.KernelRelease, await modules.InLoadOrderAsync([.. wanted, .. Spare], cancel));

        archive.AddText("/etc/exitless/load", 0x1A4, string.Concat(load.Select(m => m.Name + "\n")));
        archive.AddText("/etc/exitless/host.env", 0x180, Environment());
        archive.AddText("/etc/exitless/rcS", 0x1ED, Script.Read("host-rcS"));
        archive.AddText("/etc/exitless/shell", 0x1ED, Script.Read("host-shell"));
        archive.AddText("/etc/exitless/agent", 0x1ED, Script.Read("host-agent"));
        archive.AddText("/etc/inittab", 0x1A4, Inittab());
        archive.AddText("/etc/os-release", 0x1A4, "NAME=\"Exitless lab host\"\nID=exitless-lab\nPRETTY_NAME=\"Exitless lab host\"\n");
        archive.AddCopy("/var/lib/exitless/images/debian.vmlinuz", 0x1A4, files.Kernel);
        archive.AddCopy("/var/lib/exitless/images/demo.initrd", 0x1A4, guestInitrd);
        await AddProgramsAsync(archive, cancel);
    }

    /// <summary>Writes the demo guest's initrd.</summary>
    public async Task WriteGuestAsync(string path, CancellationToken cancel)
        => await WriteGuestAsync(path, new Busybox(files.Busybox), new KernelModules(files.Modules, KernelModules.ReadWith(files.Busybox)), cancel);

    private async Task WriteGuestAsync(string path, Busybox busybox, KernelModules modules, CancellationToken cancel)
    {
        await using var guest = File.Create(path);
        await GuestImage.WriteAsync(guest, busybox, modules, files, options.Nvme, Reporter, options.GuestFiles, cancel);
    }

    // Where scripts/build leaves it: in a folder of its own beside the agent's.
    private string? Reporter => options.AgentPath is { } agent && Path.Combine(Path.GetDirectoryName(Path.GetFullPath(agent))!, "../guest/exitless-guest-reporter") is var file && File.Exists(file) ? file : null;

    private async Task AddProgramsAsync(CpioArchive archive, CancellationToken cancel)
    {
        var libraries = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var soname in (string[])[.. Libraries, .. TlsLibraries])
        {
            if (await SharedLibraries.FindAsync(soname, files.Libraries, cancel) is not { } file)
                continue;
            libraries[SharedLibraries.PathOf(soname)] = file;
            await SharedLibraries.CollectAsync(libraries, file, null, cancel);
        }
        if (options.AgentPath is { } agent)
        {
            await SharedLibraries.CollectAsync(libraries, agent, null, cancel);
            archive.AddCopy("/usr/bin/exitless-agent", 0x1ED, agent);
            if (PublishedVmm.Of(agent) is { } vmm)
                archive.AddCopy("/usr/bin/exitless-vmm", 0x1ED, vmm);
        }
        foreach (var (target, file) in libraries)
            archive.AddCopy(target, 0x1ED, file);
        foreach (var file in options.Files)
            archive.AddCopy(file.Target, (uint)File.GetUnixFileMode(file.Source) & 0x1FF, file.Source);
    }

    private string Environment()
    {
        List<string> agent = [];
        if (options.ServerPort is { } port)
            agent.AddRange(["--server", $"https://10.0.2.2:{port}"]);
        if (options.Token is { } token)
            agent.AddRange(["--token", token, "--authority-fingerprint", options.AuthorityFingerprint!]);
        return $"""
            HOST_NAME='{options.Name}'
            MANAGEMENT_MAC='{managementMac}'
            SHARE='{(options.ShareFolder is null ? "" : "yes")}'
            AGENT_ARGUMENTS='{string.Join(' ', agent)}'

            """;
    }

    private string Inittab()
    {
        List<string> lines = ["::sysinit:/etc/exitless/rcS"];
        lines.AddRange(Enumerable.Range(0, Machine.ControlShell.Slots).Select(n => $"::respawn:/etc/exitless/shell /dev/hvc{n}"));
        if (options.AgentPath is not null)
            lines.Add("::respawn:/etc/exitless/agent");
        lines.Add("::ctrlaltdel:/sbin/poweroff -f");
        return string.Join('\n', lines) + "\n";
    }
}
