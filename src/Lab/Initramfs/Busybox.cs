namespace Exitless.Lab.Initramfs;

/// <summary>The static busybox: all commands of host and guest.</summary>
internal sealed class Busybox(string file)
{
    /// <summary>Adds the program and a link for each of its commands.</summary>
    public async Task AddToAsync(CpioArchive archive, CancellationToken cancel)
    {
        archive.AddCopy("/bin/busybox", 0x1ED, file);
        var applets = await Tool.TextAsync(file, ["--list-full"], "Remove the folder `busybox` from the lab's cache and run `exitless-lab prepare` again.", cancel);
        foreach (var path in applets.Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(p => p != "bin/busybox"))
            archive.AddLink(path, "/bin/busybox");
        archive.AddLink("/init", "/bin/busybox");
        foreach (var folder in (string[])["/proc", "/sys", "/dev", "/run", "/tmp", "/root", "/etc", "/var/log"])
            archive.AddFolder(folder);
        // Init's first words go here, before devtmpfs is mounted.
        archive.AddCharacterDevice("/dev/console", 0x180, 5, 1);
        archive.AddCharacterDevice("/dev/null", 0x1B6, 1, 3);
        archive.AddText("/etc/passwd", 0x1A4, "root:x:0:0:root:/root:/bin/sh\n");
        archive.AddText("/etc/group", 0x1A4, "root:x:0:\n");
        archive.AddText("/etc/hosts", 0x1A4, "127.0.0.1 localhost\n::1 localhost\n");
    }

    /// <summary>Adds kernel modules, flat in one folder, with the <c>modules.dep</c> that modprobe reads.</summary>
    public static void AddModules(CpioArchive archive, string release, IReadOnlyList<KernelModule> modules)
    {
        var folder = "/lib/modules/" + release;
        foreach (var module in modules)
            archive.AddFile($"{folder}/{module.Name}.ko", 0x1A4, module.Content);
        archive.AddText(folder + "/modules.dep", 0x1A4,
            string.Concat(modules.Select(m => $"{m.Name}.ko:{string.Concat(m.Depends.Where(d => modules.Any(o => o.Name == d)).Select(d => $" {d}.ko"))}\n")));
    }
}
