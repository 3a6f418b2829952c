using System.Globalization;
using Exitless.Linux;
using Exitless.Linux.Procfs;
using Exitless.Linux.Sysfs;

namespace Exitless.Agent.Watching;

/// <summary>A VM of any VMM on this host, found without asking the VMM.</summary>
/// <param name="ProcessId">The VMM's process.</param>
/// <param name="Name">QEMU's <c>-name</c>, else the process's name.</param>
/// <param name="Statistics">Its folder in debugfs, <c>kvm/‹pid›-‹fd›</c> (virt/kvm/kvm_main.c, kvm_create_vm_debugfs).</param>
/// <param name="Addresses">The PCI functions that the process drives through VFIO, dddd:bb:dd.f.</param>
internal sealed record ForeignVm(int ProcessId, string Name, string Statistics, IReadOnlyList<string> Addresses)
{
    private const string Vfio = "/dev/vfio/";

    /// <summary>The names of the VMs that run now, as debugfs has them: <c>‹pid›-‹fd›</c>.</summary>
    /// <exception cref="AgentException">debugfs is not mounted or not readable, or KVM is not loaded.</exception>
    public static IReadOnlyList<string> Names(HostRoot root)
    {
        var folder = root.Sys("kernel/debug/kvm");
        if (!Directory.Exists(folder))
            throw new AgentException($"{folder} is not there.", "Run as root, with KVM loaded and debugfs mounted: mount -t debugfs debugfs /sys/kernel/debug. Under kernel lockdown debugfs stays closed.");
        return [.. SysfsFile.Names(folder).Where(name => ProcessOf(name) is not null)];
    }

    /// <summary>Looks at one of them: at its process's arguments and at each of its descriptors, so not for every second.</summary>
    /// <param name="name">One of <see cref="Names"/>.</param>
    public static ForeignVm Examine(HostRoot root, string name)
    {
        var processId = ProcessOf(name) ?? throw new ArgumentException($"'{name}' is no VM's folder.", nameof(name));
        return new ForeignVm(processId, NameOf(root, processId), root.Sys($"kernel/debug/kvm/{name}"), DevicesOf(root, processId));
    }

    private static int? ProcessOf(string name)
    {
        var parts = name.Split('-');
        return parts.Length == 2 && int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out var processId) ? processId : null;
    }

    // "-name guest=web,debug-threads=on", "-name web".
    private static string NameOf(HostRoot root, int processId)
    {
        var words = (SysfsFile.Text(root.Proc($"{processId}/cmdline")) ?? "").Split('\0');
        var at = Array.IndexOf(words, "-name");
        if (at >= 0 && at + 1 < words.Length)
        {
            var name = words[at + 1].Split(',')[0];
            return name.StartsWith("guest=", StringComparison.Ordinal) ? name["guest=".Length..] : name;
        }
        return SysfsFile.Text(root.Proc($"{processId}/comm")) ?? $"{processId}";
    }

    private static List<string> DevicesOf(HostRoot root, int processId)
    {
        var addresses = new SortedSet<string>(StringComparer.Ordinal);
        foreach (var file in ProcessFiles.OpenBelow(root, processId, Vfio))
        {
            if (int.TryParse(file.AsSpan(Vfio.Length), NumberStyles.None, CultureInfo.InvariantCulture, out var group))
            {
                // Ports and functions without a driver may share the group; only VFIO's own are the VM's.
                addresses.UnionWith(PciFunction.GroupMembers(root, group).Where(address => SysfsFile.LinkName(root.Sys($"bus/pci/devices/{address}/driver")) == "vfio-pci"));
            }
            else if (file.StartsWith(Vfio + "devices/", StringComparison.Ordinal) && SysfsFile.LinkName(root.Sys($"class/vfio-dev/{Path.GetFileName(file)}/device")) is { } address)
            {
                addresses.Add(address);
            }
        }
        return [.. addresses];
    }
}
