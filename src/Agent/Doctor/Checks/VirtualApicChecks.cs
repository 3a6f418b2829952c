namespace Exitless.Agent.Doctor.Checks;

/// <summary>
/// The virtual local APIC: APICv (Intel: APIC-register virtualization, virtual-interrupt delivery and posted interrupts together) or AVIC (AMD). Without it every
/// interrupt, its end (EOI) and every IPI exit. /sys/module/kvm_*/parameters has what KVM made of hardware and parameters at load.
/// </summary>
internal static class VirtualApicChecks
{
    private const int Zen2OrOlder = 0x17, Hygon = 0x18;   // families 17h and 18h: erratum 1235

    /// <summary>The finding's id: each vendor's own name.</summary>
    public static string Id(HostFacts host) => host.KvmModule == "kvm_amd" ? "avic" : "apicv";

    /// <summary>Processors on which AVIC's IPIs can be lost (erratum 1235).</summary>
    public static bool HasErratum1235(Processor processor) => processor.Family is Zen2OrOlder or Hygon && !processor.IsIntel;

    public static void Run(HostFacts host, Findings findings)
    {
        if (host.HasVirtualApic is not { } on || findings.Has("virtualization", Severity.Blocker))
            return;
        if (host.KvmModule == "kvm_amd")
            Avic(host, findings, on);
        else
            Apicv(host, findings, on);
        if (!on)
            return;
        var path = host.KvmParameter("enable_ipiv");
        if (HasErratum1235(host.Processor))
            findings.Info("ipi-virtualization", "Each IPI of a guest exits: this processor may lose virtualized ones (erratum 1235)", Remedy.None, Findings.Saw(path, host.Files.Text(path)));
        else if (host.Files.Flag(path) == true || (host.KvmModule == "kvm_amd" && !host.Files.Exists(path)))
            findings.Ok("ipi-virtualization", "A guest's IPIs need no exit", Findings.Saw(path, host.Files.Text(path)));
        else
            findings.Info("ipi-virtualization", "Each IPI of a guest exits", host.KvmModule == "kvm_amd" ? host.SetKvmParameter("enable_ipiv=1")
                : host.Processor.VmxFlags?.Contains("ipi_virt") == true ? host.SetKvmParameter("enable_ipiv=1") : Remedy.None, Findings.Saw(path, host.Files.Text(path)));
    }

    private static void Apicv(HostFacts host, Findings findings, bool on)
    {
        var path = host.KvmParameter("enable_apicv");
        var hardware = host.Processor.VmxFlags?.Contains("apicv");
        if (on)
            findings.Ok("apicv", "APICv is on", Findings.Saw(path, "Y"));
        else if (hardware == true)
            findings.Warning("apicv", "APICv is turned off", host.SetKvmParameter("enable_apicv=1"), Findings.Saw(path, "N"), Findings.Saw("/proc/cpuinfo", "vmx flags: apicv"));
        else
            findings.Warning("apicv", host.Processor.IsGuest ? "The hypervisor below gives this VM no APICv" : "The processor has no APICv",
                Remedy.AtBoot(host.Processor.IsGuest ? "Run VMs that need exit-less interrupts on the machine itself." : "No setting helps: Xeon processors have APICv since Ivy Bridge-EP."),
                Findings.Saw(path, "N"), Findings.Saw("/proc/cpuinfo", hardware is null ? "no line 'vmx flags'" : "vmx flags: no apicv"));
    }

    private static void Avic(HostFacts host, Findings findings, bool on)
    {
        var path = host.KvmParameter("avic");
        var (hardware, x2) = (host.Processor.Flags.Contains("avic"), host.Processor.Flags.Contains("x2avic"));
        if (on)
        {
            findings.Ok("avic", "AVIC is on", Findings.Saw(path, host.Files.Text(path)));
            if (x2)
                findings.Ok("x2avic", "Guests may use x2APIC without exits", Findings.Saw("/proc/cpuinfo", "flags: x2avic"));
            else
                findings.Info("x2avic", "The processor has AVIC without x2AVIC: a guest in x2APIC mode exits at each access to its APIC; Exitless gives guests xAPIC here", Remedy.None, Findings.Saw("/proc/cpuinfo", "flags: no x2avic"));
            return;
        }
        var evidence = new List<Contracts.Evidence> { Findings.Saw(path, host.Files.Text(path)), Findings.Saw("/proc/cpuinfo", hardware ? "flags: avic" : "flags: no avic") };
        if (host.Log.Find("AVIC disabled: missing HvInUseWrAllowed") is { } snp)
            findings.Warning("avic", "AVIC is off because the host is set up for SEV-SNP", Remedy.AtBoot("Firmware: turn off SEV-SNP (SNP Memory Coverage), where no confidential VM is needed."), [.. evidence, snp]);
        else if (!hardware)
            findings.Warning("avic", "The processor shows no AVIC", host.Processor.IsGuest ? Remedy.AtBoot("Run VMs that need exit-less interrupts on the machine itself.")
                : Remedy.AtBoot("Firmware: update it, and turn on AVIC where it has the item."), evidence);
        else if (HasErratum1235(host.Processor) && !host.Kernel.IsAtLeast(6, 17))
            findings.Warning("avic", "AVIC is off; on this processor it is safe from Linux 6.17 on only (erratum 1235)",
                Remedy.AtBoot("Install a kernel of 6.17 or newer, with: echo 'options kvm_amd avic=1' > /etc/modprobe.d/exitless-kvm_amd.conf"), [.. evidence, Findings.Saw("/proc/sys/kernel/osrelease", host.Kernel.Text)]);
        else
            findings.Warning("avic", "AVIC is turned off", host.SetKvmParameter("avic=1"), evidence);
    }
}
