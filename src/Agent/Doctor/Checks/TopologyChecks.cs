namespace Exitless.Agent.Doctor.Checks;

/// <summary>What changed since the last boot: a kernel or firmware update regroups devices or gives a sibling a driver, and a VM that ran yesterday does not start.</summary>
internal static class TopologyChecks
{
    private const string Id = "topology", File = TopologyMemory.FileName;

    public static void Run(BootTopology? before, BootTopology today, Findings findings)
    {
        if (before is null)
        {
            findings.Info(Id, "There is no record of an earlier boot to compare with", Remedy.None, Findings.Saw(File, null));
            return;
        }
        var any = false;
        void Changed(string subject, string title, string was, string now, string remedy)
        {
            any = true;
            findings.Add(Id, subject, Severity.Warning, $"Since the last boot: {title}", Remedy.Now(remedy), Findings.Saw($"{File} (last boot)", was), Findings.Saw("/sys (now)", now));
        }
        foreach (var unit in before.Units.Except(today.Units, StringComparer.Ordinal))
            Changed(unit, $"the IOMMU unit {unit} is gone", string.Join(' ', before.Units), string.Join(' ', today.Units), "journalctl -k --grep 'DMAR|AMD-Vi'   # says what the firmware reports now");
        foreach (var unit in today.Units.Except(before.Units, StringComparer.Ordinal))
            Changed(unit, $"the IOMMU unit {unit} is new", string.Join(' ', before.Units), string.Join(' ', today.Units), "journalctl -k --grep 'DMAR|AMD-Vi'   # says what the firmware reports now");
        var old = before.Functions.ToDictionary(f => f.Address, StringComparer.Ordinal);
        foreach (var now in today.Functions)
        {
            if (!old.Remove(now.Address, out var was))
                Changed(now.Address, $"{now.Address} ({now.Id}) is new", "(not there)", now.Id, $"lspci -nns {now.Address}");
            else if (was.Id != now.Id)
                Changed(now.Address, $"{now.Address} is another device", was.Id, now.Id, $"lspci -nns {now.Address}");
            else
                Same(was, now, Changed);
        }
        foreach (var gone in old.Values)
            Changed(gone.Address, $"{gone.Address} ({gone.Id}) is gone", gone.Id, "(not there)", "lspci -nn   # shows whether it has another address now; else reseat the card");
        if (!any)
            findings.Ok(Id, "Units, groups and devices are those of the last boot", Findings.Saw(File, $"{before.Units.Count} units, {before.Functions.Count} functions"));
    }

    private static void Same(TopologyFunction was, TopologyFunction now, Action<string, string, string, string, string> changed)
    {
        var what = new List<string>();
        var joined = now.Siblings.Except(was.Siblings, StringComparer.Ordinal).ToList();
        var left = was.Siblings.Except(now.Siblings, StringComparer.Ordinal).ToList();
        if (joined.Count > 0)
            what.Add($"shares its IOMMU group with {string.Join(", ", joined)} now");
        if (left.Count > 0)
            what.Add($"shares its IOMMU group with {string.Join(", ", left)} no more");
        if (was.Unit != now.Unit)
            what.Add($"hangs on {now.Unit ?? "no IOMMU unit"}, before on {was.Unit ?? "none"}");
        // A driver spoils a group only where there is one to spoil; VFIO's comes and goes with VMs.
        if (was.Driver != now.Driver && now.Siblings.Count > 0 && now.Driver is not null and not "vfio-pci" && was.Driver != "vfio-pci")
            what.Add($"has the driver {now.Driver}, before {was.Driver ?? "none"}");
        if (what.Count > 0)
            changed(now.Address, $"{now.Address} {string.Join(", ", what)}", Text(was), Text(now), $"ls -l /sys/bus/pci/devices/{now.Address}/iommu_group/devices/*/driver   # shows who holds what; unbind what a VM's device must not share");
    }

    private static string Text(TopologyFunction f) => $"driver {f.Driver ?? "none"}, unit {f.Unit ?? "none"}, siblings {(f.Siblings.Count == 0 ? "none" : string.Join(' ', f.Siblings))}";
}
