namespace Exitless.Agent.Doctor.Checks;

/// <summary>Can VMs with devices run here at all: VT-x or SVM, KVM, VFIO, locked memory.</summary>
internal static class VirtualizationChecks
{
    public static void Run(HostFacts host, Findings findings)
    {
        Processor(host, findings);
        Kvm(host, findings);
        Vfio(host, findings);
        Memlock(host, findings);
    }

    private static void Processor(HostFacts host, Findings findings)
    {
        var flag = host.Processor.Flags.Contains("vmx") ? "vmx" : host.Processor.Flags.Contains("svm") ? "svm" : null;
        if (flag is not null)
            findings.Ok("virtualization", flag == "vmx" ? "The processor has VT-x" : "The processor has SVM", Findings.Saw("/proc/cpuinfo", $"flags: {flag}"));
        else
            findings.Blocker("virtualization", "The processor shows no virtualization",
                Remedy.AtBoot(host.Processor.IsGuest ? "Turn on nested virtualization for this VM in the hypervisor that it runs on." : "Firmware: turn on Intel VT-x or AMD SVM."),
                Findings.Saw("/proc/cpuinfo", "flags: neither vmx nor svm"));
    }

    private static void Kvm(HostFacts host, Findings findings)
    {
        if (findings.Has("virtualization", Severity.Blocker))
            return;
        if (host.Files.Exists("/dev/kvm"))
            findings.Ok("kvm", "KVM is loaded", Findings.Saw("/dev/kvm", "there"));
        else
            findings.Blocker("kvm", "KVM is not loaded", Remedy.Now($"modprobe {host.KvmModule}"), Findings.Saw("/dev/kvm", null));
    }

    private static void Vfio(HostFacts host, Findings findings)
    {
        const string Driver = "/sys/bus/pci/drivers/vfio-pci", Container = "/dev/vfio/vfio", Unsafe = "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts";
        var (driver, container) = (host.Files.Exists(Driver), host.Files.Exists(Container));
        if (driver && container)
            findings.Ok("vfio", "VFIO is loaded", Findings.Saw(Driver, "there"), Findings.Saw(Container, "there"));
        else
            findings.Blocker("vfio", "VFIO is not loaded", Remedy.Now("printf 'vfio-pci\\nvfio_iommu_type1\\n' > /etc/modules-load.d/vfio.conf && modprobe -a vfio-pci vfio_iommu_type1"),
                Findings.Saw(Driver, driver ? "there" : null), Findings.Saw(Container, container ? "there" : null));
        if (host.Files.Flag(Unsafe) == true)
            findings.Warning("unsafe-interrupts", "VFIO lets guests with devices forge any interrupt of the host",
                Remedy.Now("grep -rl allow_unsafe_interrupts /etc/modprobe.d | xargs -r sed -i '/allow_unsafe_interrupts/d'; echo N > " + Unsafe), Findings.Saw(Unsafe, "Y"));
    }

    private static void Memlock(HostFacts host, Findings findings)
    {
        const string Status = "/proc/self/status", Limits = "/proc/self/limits", Name = "Max locked memory";
        var effective = host.Files.Text(Status, t => Lines(t, "CapEff:"))?.Split('\t', ' ')[^1];
        if (((HostFiles.ParseHex(effective) ?? 0) >> 14 & 1) == 1)   // CAP_IPC_LOCK
        {
            findings.Ok("memlock", "No limit on locked memory holds (CAP_IPC_LOCK)", Findings.Saw(Status, $"CapEff: {effective}"));
            return;
        }
        var limit = host.Files.Text(Limits, t => Lines(t, Name));
        var soft = limit is { Length: > 0 } ? limit[Name.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries).FirstOrDefault() : null;
        if (soft == "unlimited")
            findings.Ok("memlock", "No limit on locked memory", Findings.Saw(Limits, limit));
        else
            findings.Warning("memlock", "Locked memory is limited: a VM with a device locks all of its memory",
                Remedy.Now("mkdir -p /etc/systemd/system/exitless-agent.service.d && printf '[Service]\\nLimitMEMLOCK=infinity\\n' > /etc/systemd/system/exitless-agent.service.d/memlock.conf && systemctl daemon-reload"),
                Findings.Saw(Limits, limit));
    }

    private static string Lines(string text, string start) => string.Join('\n', text.Split('\n').Where(l => l.StartsWith(start, StringComparison.Ordinal)));
}
