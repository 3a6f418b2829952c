namespace Exitless.Agent.Doctor.Checks;

/// <summary>
/// Whether a device's interrupt can reach a running vCPU with no exit and no host CPU's help. Every IOMMU unit must be able to post, since the kernel posts for all
/// devices or for none (drivers/iommu/intel/irq_remapping.c, set_irq_posting_cap); the processor must take posted interrupts (APICv, AVIC); and nothing may turn it off.
/// </summary>
internal static class PostingChecks
{
    public static void Run(HostFacts host, Findings findings)
    {
        if (!host.HasIommu || findings.Has("interrupt-remapping", Severity.Blocker))
            return;
        var units = Units(host, findings);
        var snp = SnpAllows(host, findings);
        if (units && snp && findings.Has(VirtualApicChecks.Id(host), Severity.Ok))
            Device(host, findings);
    }

    private static bool Units(HostFacts host, Findings findings)
    {
        const string Id = "iommu-posting";
        var judged = host.Units.Where(u => u.CanPost is not null).ToList();
        var lacking = judged.Where(u => u.CanPost == false).ToList();
        if (judged.Count == 0)
            return false;
        if (lacking.Count == 0)
        {
            findings.Ok(Id, "Every IOMMU unit can post interrupts", judged.Select(u => u.Evidence));
            return true;
        }
        if (lacking.Count == judged.Count)
        {
            findings.Warning(Id, "No IOMMU unit can post interrupts: each interrupt of a device goes to a host CPU first",
                Remedy.AtBoot("No setting helps: give VMs that need exit-less interrupts a host whose IOMMU posts (Intel: Xeon since Broadwell; AMD: Zen and later)."),
                lacking.Select(u => u.Evidence));
            return false;
        }
        foreach (var unit in lacking)
        {
            var devices = host.Functions.Where(f => unit.Devices.Contains(f.Address, StringComparer.Ordinal) && !f.IsBridge).ToList();
            var graphics = devices.Count > 0 && devices.All(f => f.ClassCode >> 16 == 0x03);
            findings.Add(Id, unit.Name, Severity.Warning, $"{unit.Name} cannot post interrupts, so the kernel posts for no device of this host",
                Remedy.AtBoot(graphics ? $"Firmware: turn off the integrated graphics ({devices[0].Address}), whose unit this is."
                    : $"Firmware: turn off what hangs on {unit.Name}: {(devices.Count == 0 ? "no device that is in use" : string.Join(", ", devices.Select(f => f.Address)))}."),
                unit.Evidence);
        }
        return false;
    }

    private static bool SnpAllows(HostFacts host, Findings findings)
    {
        var path = host.KvmParameter("sev_snp");
        var forced = host.Log.Find("Force to disable Virtual APIC due to SNP");
        if (host.KvmModule != "kvm_amd" || (host.Files.Flag(path) != true && forced is null))
            return true;
        var blamed = host.Units.FirstOrDefault(u => u is { IsAmd: true, CanPostWithSnp: false });
        if (blamed is null && forced is null)
        {
            findings.Ok("snp", "SEV-SNP is on, and the IOMMU posts beside it", [Findings.Saw(path, "Y"), .. host.Units.Where(u => u.IsAmd).Select(u => u.Evidence)]);
            return true;
        }
        Contracts.Evidence?[] evidence = [Findings.Saw(path, host.Files.Text(path)), forced, blamed?.Evidence];
        findings.Warning("snp", "SEV-SNP is on: the IOMMU posts no interrupt for any VM",
            Remedy.AtBoot("Firmware: turn off SEV-SNP (SNP Memory Coverage), where no confidential VM is needed."), evidence.OfType<Contracts.Evidence>());
        return false;
    }

    private static void Device(HostFacts host, Findings findings)
    {
        const string Id = "device-posting";
        var path = host.KvmParameter("enable_device_posted_irqs");
        if (host.Boot.Find("intremap", "nopost") is { } off)
            findings.Warning(Id, "Posting is turned off by intremap=nopost", host.Boot.Remove(off), host.Boot.Evidence);
        else if (host.Boot.Find("amd_iommu_intr", "legacy") is { } legacy)
            findings.Warning(Id, "Posting is turned off by amd_iommu_intr=legacy", host.Boot.Remove(legacy), host.Boot.Evidence);
        else if (!host.Processor.Flags.Contains("cx16"))
            findings.Warning(Id, "The processor shows no CMPXCHG16B, which the kernel needs to post", Remedy.None, Findings.Saw("/proc/cpuinfo", "flags: no cx16"));
        else if (host.Files.Flag(path) == false)
            findings.Warning(Id, "KVM does not post devices' interrupts", host.SetKvmParameter("enable_device_posted_irqs=1"), Findings.Saw(path, "N"));
        else
            findings.Ok(Id, "Devices' interrupts are posted to vCPUs",
                host.Files.Flag(path) == true ? Findings.Saw(path, "Y") : host.Log.Find("AMD-Vi: Virtual APIC enabled") ?? host.Boot.Evidence);
        if (host.Log.Find("registration fails") is { } failed)
            findings.Warning("irq-bypass", "KVM could not join a device's interrupt to its guest: that interrupt is not posted", Remedy.Now("journalctl -k --grep 'irq bypass'   # names the failures; restart the VM concerned"), failed);
    }
}
