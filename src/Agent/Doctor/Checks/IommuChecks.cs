namespace Exitless.Agent.Doctor.Checks;

/// <summary>The IOMMU, interrupt remapping and x2APIC: without the first two no device may be given to a guest.</summary>
internal static class IommuChecks
{
    public static void Run(HostFacts host, Findings findings)
    {
        Iommu(host, findings);
        if (!host.HasIommu)
            return;
        Remapping(host, findings);
        if (!findings.Has("interrupt-remapping", Severity.Blocker))
            X2Apic(host, findings);
    }

    private static void Iommu(HostFacts host, Findings findings)
    {
        var groups = host.Functions.Select(f => f.Group).OfType<int>().Distinct().Count();
        if (host.HasIommu)
        {
            findings.Ok("iommu", $"{host.Units.Count} IOMMU unit(s), {groups} groups", Findings.Saw("/sys/class/iommu", string.Join(' ', host.Units.Select(u => u.Name))));
            return;
        }
        var off = host.Boot.Find("intel_iommu", "off") ?? host.Boot.Find("amd_iommu", "off") ?? host.Boot.Find("iommu", "off");
        var evidence = new[] { Findings.Saw("/sys/class/iommu", host.Units.Count == 0 ? null : string.Join(' ', host.Units.Select(u => u.Name))), host.Boot.Evidence };
        // The firmware describes its IOMMU in one of these tables; where one is there, only the kernel is missing.
        var table = host.Files.Exists("/sys/firmware/acpi/tables/DMAR") ? "DMAR" : host.Files.Exists("/sys/firmware/acpi/tables/IVRS") ? "IVRS" : null;
        var remedy = off is not null ? host.Boot.Remove(off)
            : table == "DMAR" && host.Boot.Find("intel_iommu", "on") is null ? host.Boot.Add("intel_iommu=on")
            : host.Processor.IsGuest ? Remedy.AtBoot("Give this VM an IOMMU in the hypervisor that it runs on (QEMU: -device intel-iommu,intremap=on,caching-mode=on).")
            : Remedy.AtBoot(host.Processor.IsIntel ? "Firmware: turn on Intel VT-d." : "Firmware: turn on AMD-Vi (IOMMU).");
        findings.Blocker("iommu", off is not null ? $"The IOMMU is turned off by {off}" : table is not null ? "The kernel does not use the IOMMU" : "There is no IOMMU", remedy, evidence);
    }

    private static void Remapping(HostFacts host, Findings findings)
    {
        if (host.Interrupts.Remapped is { } chip)
        {
            findings.Ok("interrupt-remapping", "Interrupts are remapped", Findings.Saw(Interrupts.Path, chip));
            return;
        }
        var off = host.Boot.Find("intremap", "off") ?? host.Boot.Find("nointremap") ?? host.Boot.Find("noapic");
        findings.Blocker("interrupt-remapping", "Interrupts are not remapped: a device could forge any interrupt of the host",
            off is not null ? host.Boot.Remove(off) : Remedy.AtBoot("Firmware: turn on interrupt remapping (VT-d with x2APIC; AMD: IOMMU and IOAPIC in the IVRS table)."),
            Findings.Saw(Interrupts.Path, host.Interrupts.AnyChip), host.Boot.Evidence);
    }

    private static void X2Apic(HostFacts host, Findings findings)
    {
        const string Id = "x2apic";
        var many = host.OnlineCpus.Count > 0 && host.OnlineCpus.Max() >= 255;
        void Missing(string title, Remedy remedy, params IEnumerable<Contracts.Evidence> evidence) =>
            findings.Add(Id, "", many ? Severity.Warning : Severity.Info, title + (many ? ": processors above 254 get no interrupts" : ""), remedy, evidence);
        if (host.Boot.Find("nox2apic") is { } off)
            Missing("x2APIC is turned off", host.Boot.Remove(off), host.Boot.Evidence);
        else if (!host.Processor.Flags.Contains("x2apic"))
            Missing("The processor shows no x2APIC", Remedy.None, Findings.Saw("/proc/cpuinfo", "flags: no x2apic"));
        else if (host.Log.Find("x2apic opt out") is { } optOut)
            Missing("The firmware opts out of x2APIC", Remedy.AtBoot("Firmware: turn off the x2APIC opt-out (or turn on x2APIC)."), optOut);
        else if (host.Units.FirstOrDefault(u => u.HasX2Apic == false) is { } unit)
            Missing($"{unit.Name} cannot send interrupts to x2APIC ids", Remedy.None, unit.Evidence);
        else if (host.Log.Find("remapping in xapic mode") is { } old)
            Missing("The host runs in xAPIC mode", Remedy.AtBoot("Firmware: turn on x2APIC."), old);
        else
            findings.Ok(Id, "x2APIC", host.Log.Find("in x2apic mode") ?? host.Log.Find("AMD-Vi: X2APIC enabled") ?? Findings.Saw("/proc/cpuinfo", "flags: x2apic"));
    }
}
