using Exitless.Lab.Cache;

namespace Exitless.Lab.Initramfs;

/// <summary>Builds <c>demo.initrd</c>: the little guest that configures a VF and pings through it.</summary>
internal static class GuestImage
{
    // button and evdev carry the ACPI power button to acpid; pvpanic tells the VMM of a panic.
    private static readonly string[] Modules = ["igbvf", "button", "evdev", "pvpanic", "pvpanic-mmio"];

    // For the reporter, and loaded only where there is a vsock: a driver more is a few milliseconds more of an emulated guest's start.
    private static readonly string[] VsockModules = ["virtio_pci", "vmw_vsock_virtio_transport"];

    /// <param name="reporter">exitless-guest-reporter; null: the guest has none.</param>
    public static async Task WriteAsync(
        Stream output, Busybox busybox, KernelModules modules, LabFiles files, bool nvme, string? reporter, IReadOnlyList<LabFile> extra, CancellationToken cancel)
    {
        using var archive = new CpioArchive(output);
        await busybox.AddToAsync(archive, cancel);
        var load = await modules.InLoadOrderAsync(nvme ? [.. Modules, "nvme"] : Modules, cancel);
        IReadOnlyList<KernelModule> vsock = reporter is null ? [] : [.. (await modules.InLoadOrderAsync(VsockModules, cancel)).Where(m => load.All(l => l.Name != m.Name))];
        Busybox.AddModules(archive, files.KernelRelease, [.. load, .. vsock]);
        archive.AddText("/etc/load-vsock", 0x1A4, string.Concat(vsock.Select(m => m.Name + "\n")));
        archive.AddCopy("/usr/sbin/ethtool", 0x1ED, files.EthtoolProgram);
        var libraries = new SortedDictionary<string, string>(StringComparer.Ordinal);
        await SharedLibraries.CollectAsync(libraries, files.EthtoolProgram, SharedLibraries.PathIn(files.Ethtool), cancel);
        if (reporter is not null)
        {
            archive.AddCopy("/bin/exitless-guest-reporter", 0x1ED, reporter);
            await SharedLibraries.CollectAsync(libraries, reporter, null, cancel);
        }
        foreach (var (target, file) in libraries)
            archive.AddCopy(target, 0x1ED, file);
        archive.AddText("/etc/load", 0x1A4, string.Concat(load.Select(m => m.Name + "\n")));
        archive.AddText("/etc/orders", 0x1A4, Script.Read("guest-orders"));
        archive.AddText("/etc/rcS", 0x1ED, Script.Read("guest-init"));
        archive.AddText("/etc/inittab", 0x1A4, """
            ::sysinit:/etc/rcS
            ::wait:/bin/start-ping --ordered
            ::respawn:/bin/status
            ttyS0::respawn:/bin/sh -l
            ::respawn:/sbin/acpid -f -c /etc/acpi -l /dev/null -p /run/acpid.pid
            ::ctrlaltdel:/sbin/poweroff -f

            """);
        archive.AddText("/etc/profile", 0x1A4, "stty columns 120 rows 40\nPS1='demo guest:\\n'\n");
        archive.AddText("/etc/acpi/PWRF/00000080", 0x1ED, "#!/bin/sh\necho 'exitless: power-button'\npoweroff -f\n");
        foreach (var command in (string[])["report", "start-ping", "stop-ping", "status", "ping-loop", "count-replies"])
            archive.AddText("/bin/" + command, 0x1ED, Script.Read("guest-" + command));
        foreach (var file in extra)
            archive.AddCopy(file.Target, (uint)File.GetUnixFileMode(file.Source) & 0x1FF, file.Source);
    }
}
