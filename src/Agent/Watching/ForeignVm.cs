using System.Globalization;
using Exitless.Linux;
using Exitless.Linux.Procfs;
using Exitless.Linux.Sysfs;

namespace Exitless.Agent.Watching;

/// <summary>A VM of any VMM on this host, found without asking the VMM.</summary>
/// <param name="ProcessId">The VMM's process.</param>
/// <param name="Name">QEMU's <c>-name</c>, else the process's name.</param>
/// <param name="Program">The VMM's program, without its arguments.</param>
/// <param name="Statistics">Its folder in debugfs, <c>kvm/‹pid›-‹fd›</c> (virt/kvm/kvm_main.c, kvm_create_vm_debugfs).</param>
/// <param name="Vcpus">Its vCPUs' threads, as far as the kernel tells them.</param>
/// <param name="Addresses">The PCI functions that the process drives through VFIO, dddd:bb:dd.f.</param>
internal sealed record ForeignVm(int ProcessId, string Name, string Program, string Statistics, IReadOnlyList<int> Vcpus, IReadOnlyList<string> Addresses)
{
    private const string Vfio = "/dev/vfio/";

    /// <summary>The names of the VMs that run now, as debugfs has them: <c>‹pid›-‹fd›</c>.</summary>
    /// <exception cref="AgentException">debugfs is not mounted or not readable, or KVM is not loaded.</exception>
    public static IReadOnlyList<string> Names(HostRoot root)
    {
        var folder = root.Sys("kernel/debug/kvm");
        if (!Directory.Exists(folder))
            throw new AgentException($"{folder} is not there.", "Run as root, with KVM loaded and debugfs mounted: mount -t debugfs debugfs /sys/kernel/debug. Under kernel lockdown debugfs stays closed.");
        return [.. SysfsFile.Names(folder).Where(name => CreatorOf(name) is not null)];
    }

    /// <summary>Looks at one of them: at its process's arguments and at each of its descriptors, so not for every second.</summary>
    /// <param name="root">The host.</param>
    /// <param name="name">One of <see cref="Names"/>.</param>
    /// <param name="processId">Its <see cref="ProcessOf"/>.</param>
    public static ForeignVm Examine(HostRoot root, string name, int processId)
    {
        return new ForeignVm(processId, NameOf(root, processId), (SysfsFile.Text(root.Proc($"{processId}/cmdline")) ?? "").Split('\0')[0], root.Sys($"kernel/debug/kvm/{name}"), VcpuThreads(root, name), DevicesOf(root, processId));
    }

    /// <summary>
    /// The VMM's process of one of <see cref="Names"/>; null: not known yet. The name has the thread that made the VM, which may be any of the process's and may have ended;
    /// then a vCPU's thread tells (<c>vcpu0/pid</c>, from its first run on).
    /// </summary>
    public static int? ProcessOf(HostRoot root, string name) =>
        CreatorOf(name) is not { } creator ? null : GroupOf(root, creator) ?? VcpuThreads(root, name).Select(thread => GroupOf(root, thread)).FirstOrDefault(process => process is not null);

    /// <summary>The threads that run the vCPUs of one of <see cref="Names"/>; none before Linux 5.19, which has no files for them.</summary>
    public static IReadOnlyList<int> VcpuThreads(HostRoot root, string name)
    {
        var folder = root.Sys($"kernel/debug/kvm/{name}");
        return [.. SysfsFile.Names(folder).Where(vcpu => vcpu.StartsWith("vcpu", StringComparison.Ordinal)).Select(vcpu => SysfsFile.Number($"{folder}/{vcpu}/pid")).OfType<long>().Where(thread => thread > 0).Select(thread => (int)thread)];
    }

    private static int? CreatorOf(string name)
    {
        var parts = name.Split('-');
        return parts.Length == 2 && int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out var thread) ? thread : null;
    }

    private static int? GroupOf(HostRoot root, int thread)
    {
        var status = SysfsFile.Text(root.Proc($"{thread}/status"));
        return status?.Split('\n').FirstOrDefault(line => line.StartsWith("Tgid:", StringComparison.Ordinal)) is { } line
            && int.TryParse(line.AsSpan(5), NumberStyles.AllowLeadingWhite, CultureInfo.InvariantCulture, out var process) ? process : null;
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
