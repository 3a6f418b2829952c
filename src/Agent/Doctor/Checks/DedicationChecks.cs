using System.Globalization;

namespace Exitless.Agent.Doctor.Checks;

/// <summary>What VMs can have to themselves: huge pages on each node, isolated CPUs, and interrupts that stay where they were put.</summary>
internal static class DedicationChecks
{
    private const string Nodes = "/sys/devices/system/node", Isolated = "/sys/devices/system/cpu/isolated";

    public static void Run(HostFacts host, Findings findings)
    {
        HugePages(host, findings);
        IsolatedCpus(host, findings);
        IrqBalance(host, findings);
    }

    private static void HugePages(HostFacts host, Findings findings)
    {
        var pools = new List<(int Node, long Total, Contracts.Evidence Evidence)>();
        foreach (var name in host.Files.Names(Nodes, n => n.StartsWith("node", StringComparison.Ordinal) && int.TryParse(n.AsSpan(4), NumberStyles.None, CultureInfo.InvariantCulture, out _)))
        {
            var node = int.Parse(name.AsSpan(4), NumberStyles.None, CultureInfo.InvariantCulture);
            foreach (var size in host.Files.Names($"{Nodes}/{name}/hugepages", n => n.StartsWith("hugepages-", StringComparison.Ordinal)))
            {
                var path = $"{Nodes}/{name}/hugepages/{size}/nr_hugepages";
                var total = host.Files.Number(path) ?? 0;
                pools.Add((node, total, Findings.Saw(path, total.ToString(CultureInfo.InvariantCulture))));
            }
        }
        if (pools.Count == 0)
            return;
        static Remedy Make(int node) => Remedy.Now(string.Create(CultureInfo.InvariantCulture, $"echo 1024 > {Nodes}/node{node}/hugepages/hugepages-2048kB/nr_hugepages   # 2 GiB on node {node}"));
        var empty = pools.GroupBy(p => p.Node).Where(g => g.All(p => p.Total == 0)).Select(g => g.Key).ToList();
        if (empty.Count == 0)
            findings.Ok("hugepages", "Every node has huge pages", pools.Where(p => p.Total > 0).Select(p => p.Evidence));
        else if (empty.Count == pools.Select(p => p.Node).Distinct().Count())
            findings.Info("hugepages", "No huge pages are set aside: guests' memory is mapped in small pages, with more exits and TLB misses", Make(empty[0]), pools.Select(p => p.Evidence));
        else
        {
            foreach (var node in empty)
            {
                var device = host.Functions.FirstOrDefault(f => f.Node == node && (f.TotalVfs > 0 || f.Pf is not null));
                findings.Add("hugepages", string.Create(CultureInfo.InvariantCulture, $"node{node}"), device is null ? Severity.Info : Severity.Warning,
                    $"Node {node} has no huge pages, others have{(device is null ? "" : $": the memory of a VM with {device.Address} crosses nodes, or is mapped in small pages")}", Make(node), pools.Where(p => p.Node == node).Select(p => p.Evidence));
            }
        }
    }

    private static void IsolatedCpus(HostFacts host, Findings findings)
    {
        var isolated = host.Files.Text(Isolated);
        if (isolated is null)
            return;
        if (isolated.Length > 0)
        {
            findings.Ok("isolated-cpus", $"CPUs {isolated} are set aside for VMs", Findings.Saw(Isolated, isolated));
            return;
        }
        var last = host.OnlineCpus.Count == 0 ? 0 : host.OnlineCpus.Max();
        var range = string.Create(CultureInfo.InvariantCulture, $"2-{last}");
        findings.Info("isolated-cpus", "No CPU is set aside for VMs: the host's work and timer ticks make guests exit",
            last < 3 ? Remedy.None : host.Boot.Add($"isolcpus=managed_irq,domain,{range} nohz_full={range}"), Findings.Saw(Isolated, "(empty)"));
    }

    private static void IrqBalance(HostFacts host, Findings findings)
    {
        if (host.Files.Process("irqbalance") is { } process)
            findings.Warning("irqbalance", "irqbalance moves devices' interrupts away from the CPUs they were put on", Remedy.Now("systemctl disable --now irqbalance"), Findings.Saw($"/proc/{process}/comm", "irqbalance"));
        else
            findings.Ok("irqbalance", "irqbalance does not run", Findings.Saw("/proc/*/comm", "no irqbalance"));
    }
}
