namespace Exitless.Agent.Doctor;

/// <summary>
/// The kernel's command line (Documentation/admin-guide/kernel-parameters.txt): the parameters that bear on interrupts, devices and dedicated CPUs. Others, which may
/// name hosts, addresses and secrets, are not looked at.
/// </summary>
internal sealed class BootParameters
{
    private const string Path = "/proc/cmdline";

    private static readonly HashSet<string> Known = new(StringComparer.Ordinal)
    {
        "intel_iommu", "amd_iommu", "amd_iommu_intr", "iommu", "intremap", "nointremap", "nox2apic", "noapic", "nolapic", "pcie_acs_override", "isolcpus", "nohz_full",
        "rcu_nocbs", "irqaffinity", "hugepages", "hugepagesz", "default_hugepagesz", "idle", "maxcpus", "nr_cpus", "nosmt", "mitigations", "pci", "mem_encrypt", "nox2apic_phys",
    };

    private static readonly string[] Modules = ["kvm.", "kvm_intel.", "kvm_amd.", "vfio.", "vfio_pci.", "vfio_iommu_type1.", "iommu."];

    private readonly HostFiles _files;
    private readonly IReadOnlyList<string> _words;

    public BootParameters(HostFiles files)
    {
        _files = files;
        _words = (files.Text(Path, t => string.Join(' ', t.Split(' ', StringSplitOptions.RemoveEmptyEntries).Where(IsKnown))) ?? "").Split(' ', StringSplitOptions.RemoveEmptyEntries);
    }

    /// <summary>The word that gives a parameter a value, such as intremap=off for ("intremap", "off"), or null. Values may be lists.</summary>
    public string? Find(string name, params ReadOnlySpan<string> values)
    {
        foreach (var word in _words)
        {
            var equal = word.IndexOf('=', StringComparison.Ordinal);
            if (!word.AsSpan(0, equal < 0 ? word.Length : equal).SequenceEqual(name))
                continue;
            if (values.Length == 0)
                return word;
            foreach (var part in (equal < 0 ? "" : word[(equal + 1)..]).Split(','))
            {
                if (values.Contains(part))
                    return word;
            }
        }
        return null;
    }

    public Contracts.Evidence Evidence => Findings.Saw(Path, string.Join(' ', _words));

    /// <summary>How to add a parameter on this host.</summary>
    public Remedy Add(string word) => Change(
        $"sed -i 's/$/ {word}/' /etc/kernel/cmdline && proxmox-boot-tool refresh",
        $"grubby --update-kernel=ALL --args='{word}'",
        $"sed -i 's/^GRUB_CMDLINE_LINUX=\"/&{word} /' /etc/default/grub && update-grub",
        $"Add {word} to the kernel's command line in the boot loader's configuration.");

    /// <summary>How to take a parameter away on this host.</summary>
    public Remedy Remove(string word) => Change(
        $"sed -i 's/ *{word}//' /etc/kernel/cmdline && proxmox-boot-tool refresh",
        $"grubby --update-kernel=ALL --remove-args='{word}'",
        $"sed -i 's/ *{word}//' /etc/default/grub && update-grub",
        $"Remove {word} from the kernel's command line in the boot loader's configuration.");

    private Remedy Change(string proxmox, string grubby, string grub, string other) => Remedy.AtBoot(
        _files.Exists("/usr/sbin/proxmox-boot-tool") && _files.Exists("/etc/kernel/cmdline") ? proxmox
        : _files.Exists("/usr/sbin/grubby") ? grubby
        : _files.Exists("/usr/sbin/update-grub") ? grub
        : other);

    private static bool IsKnown(string word)
    {
        var equal = word.IndexOf('=', StringComparison.Ordinal);
        return Known.Contains(equal < 0 ? word : word[..equal]) || Modules.Any(m => word.StartsWith(m, StringComparison.Ordinal));
    }
}
