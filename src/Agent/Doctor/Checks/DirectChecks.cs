namespace Exitless.Agent.Doctor.Checks;

/// <summary>
/// ELI, exit-less interrupts in software (docs/eli.md): for an AMD host that cannot post. Where it posts, or could, hardware does the same, and this stays silent. Runs after
/// <see cref="PostingChecks"/>.
/// </summary>
internal static class DirectChecks
{
    private const string Id = "eli";

    public static void Run(HostFacts host, Findings findings)
    {
        if (host.KvmModule != "kvm_amd" || !host.HasIommu || findings.Has("interrupt-remapping", Severity.Blocker) || findings.Has("device-posting", Severity.Ok))
            return;
        var path = host.KvmParameter("eli");
        var evidence = Findings.Saw(path, host.Files.Text(path));
        switch (host.HasDirectInterrupts)
        {
            case true:
                findings.Ok(Id, "KVM delivers devices' interrupts directly (ELI) to vCPUs that have an isolated CPU each", evidence);
                break;
            case false:
                Off(host, findings, evidence);
                break;
            case null when host.Kernel is { Major: 6, Minor: 12 } && host.Processor.Flags.Contains("x2apic") && !CouldPost(host, findings):
                findings.Info(Id, "This host can have exit-less interrupts in software (ELI): its KVM has no direct interrupts, and nothing here posts them",
                    Remedy.Now("src/Eli/build   # makes kvm.ko and kvm-amd.ko for this kernel; docs/eli.md says how they are installed, which stops every VM of this host"),
                    evidence, Findings.Saw("/proc/sys/kernel/osrelease", host.Kernel.Text), Findings.Saw("/proc/cpuinfo", "flags: svm x2apic"));
                break;
        }
    }

    // What KVM made of hardware and parameters at load is in the parameter (src/Eli/kernel/eli_vm.c, eli_init).
    private static void Off(HostFacts host, Findings findings, Contracts.Evidence evidence)
    {
        if (host.HasVirtualApic == true)
            findings.Info(Id, "KVM has direct interrupts (ELI), and leaves them off because AVIC is on", Remedy.None, evidence, Findings.Saw(host.KvmParameter("avic"), "Y"));
        else if (host.Boot.Find("nox2apic") is { } off)
            findings.Info(Id, "KVM has direct interrupts (ELI), which need the host's APICs in x2APIC mode: nox2apic forbids it", host.Boot.Remove(off), evidence, host.Boot.Evidence);
        else if (!host.Processor.Flags.Contains("x2apic"))
            findings.Info(Id, "KVM has direct interrupts (ELI), which need a processor with x2APIC", Remedy.None, evidence, Findings.Saw("/proc/cpuinfo", "flags: no x2apic"));
        else
            findings.Info(Id, "KVM has direct interrupts (ELI), and they are turned off", host.SetKvmParameter("eli=1"), evidence);
    }

    // Then AVIC is the finding: turning it on gives more than ELI does.
    private static bool CouldPost(HostFacts host, Findings findings) =>
        host.Processor.Flags.Contains("avic") && findings.Has("iommu-posting", Severity.Ok) && !findings.Has("snp", Severity.Warning)
        && (!VirtualApicChecks.HasErratum1235(host.Processor) || host.Kernel.IsAtLeast(6, 17));
}
