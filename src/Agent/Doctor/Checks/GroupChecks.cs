using System.Globalization;

namespace Exitless.Agent.Doctor.Checks;

/// <summary>
/// IOMMU groups: the unit that VFIO opens. A group is viable when no member has a driver other than VFIO's (drivers/vfio/group.c; bridges and pci-stub count as none).
/// Members share one because a port above them does not isolate (ACS), or because they are functions of one card without ACS.
/// </summary>
internal static class GroupChecks
{
    public static void Run(HostFacts host, Findings findings)
    {
        if (!host.HasIommu)
            return;
        if (host.Boot.Find("pcie_acs_override") is { } over)
            findings.Warning("acs-override", "The kernel claims an isolation that the hardware does not have: devices in different groups may reach each other's memory", host.Boot.Remove(over), host.Boot.Evidence);
        var byAddress = host.Functions.ToDictionary(f => f.Address, StringComparer.Ordinal);
        var trouble = false;
        foreach (var group in host.Functions.Where(f => f.Group is not null).GroupBy(f => f.Group!.Value).OrderBy(g => g.Key))
        {
            var members = group.Where(f => !f.IsBridge).ToList();
            if (members.Select(f => f.Slot).Distinct(StringComparer.Ordinal).Count() > 1)
                Acs(host, findings, group.Key, members, byAddress);
            trouble |= Viability(findings, group.Key, members);
        }
        if (!trouble)
            findings.Ok("group-viability", "Every device that a VM could get has an IOMMU group to itself", Findings.Saw("/sys/kernel/iommu_groups", Amount(host.Functions.Select(f => f.Group).OfType<int>().Distinct().Count(), "group")));
    }

    private static void Acs(HostFacts host, Findings findings, int group, List<HostFunction> members, Dictionary<string, HostFunction> byAddress)
    {
        var ports = members.SelectMany(m => m.Above).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).Select(a => byAddress.GetValueOrDefault(a)).OfType<HostFunction>()
            .Where(p => p.Capabilities is { Extended: true, Isolates: false, Port: PciePort.Root or PciePort.Downstream }).ToList();
        if (ports.Count == 0)
            return;
        findings.Add("acs", ports[0].Address, Severity.Warning,
            $"{string.Join(" and ", ports.Select(p => p.Address))} cannot isolate what is below: {string.Join(", ", members.Select(m => m.Address))} are one group",
            Remedy.AtBoot($"Put {members[^1].Address} into a slot that hangs on a root port of its own."),
            [.. ports.Select(p => Findings.Saw(p.Folder + "/config", p.Capabilities.Acs is { } acs ? string.Create(CultureInfo.InvariantCulture, $"ACS capability {acs & 0xffff:x4}") : "no ACS capability")),
                Findings.Saw($"/sys/kernel/iommu_groups/{group}/devices", string.Join(' ', members.Select(m => m.Address)))]);
    }

    private static bool Viability(Findings findings, int group, List<HostFunction> members)
    {
        var wanted = members.Where(m => m.Pf is not null || m.Driver == "vfio-pci").ToList();
        var spoilers = wanted.Count == 0 ? [] : members.Where(m => Spoils(m) && !(m.Pf is not null && wanted.Count == members.Count)).ToList();
        foreach (var spoiler in spoilers)
        {
            var victims = string.Join(", ", wanted.Where(w => w != spoiler).Select(w => w.Address));
            findings.Add("group-viability", spoiler.Address, Severity.Warning, $"No VM can open {victims}: {spoiler.Address} of the same group {group} has the driver {spoiler.Driver}",
                wanted.Exists(w => w.Pf == spoiler.Address) ? Remedy.AtBoot($"Put {spoiler.Address} into a slot whose root port isolates (ACS): its VFs are in its own group.") : Remedy.Now($"echo vfio-pci > /sys/bus/pci/devices/{spoiler.Address}/driver_override && echo {spoiler.Address} > /sys/bus/pci/devices/{spoiler.Address}/driver/unbind && echo {spoiler.Address} > /sys/bus/pci/drivers_probe"),
                Findings.Saw(spoiler.Folder + "/driver", spoiler.Driver), Findings.Saw($"/sys/kernel/iommu_groups/{group}/devices", string.Join(' ', members.Select(m => m.Address))));
        }
        if (spoilers.Count > 0)
            return true;
        if (members.Count < 2 || wanted.Count > 0 || members.Find(m => m.IsOfInterest) is not { } first)
            return false;
        findings.Add("group-viability", first.Address, Severity.Info, $"{string.Join(", ", members.Select(m => m.Address))} are one IOMMU group: a VM gets them together or not at all", Remedy.None,
            Findings.Saw($"/sys/kernel/iommu_groups/{group}/devices", string.Join(' ', members.Select(m => m.Address))));
        return true;
    }

    private static bool Spoils(HostFunction member) => member.Driver is { } driver && !driver.Contains("vfio", StringComparison.Ordinal) && driver is not "pci-stub";

    private static string Amount(int count, string what) => string.Create(CultureInfo.InvariantCulture, $"{count} {what}{(count == 1 ? "" : "s")}");
}
