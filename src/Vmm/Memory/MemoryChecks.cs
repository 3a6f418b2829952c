using Exitless.Linux;
using Exitless.Linux.Sysfs;
using Exitless.Vmm.Control;

namespace Exitless.Vmm.Memory;

/// <summary>What can be said of the memory that a VM asks for before anything is touched.</summary>
internal static class MemoryChecks
{
    private const long LargePage = 2 << 20, HugePage = 1 << 30;
    private const int MaxNodes = 64;

    /// <summary>Checks the configuration alone.</summary>
    /// <exception cref="VmmProblemException">memory-not-aligned, page-size-unsupported, memory-nodes-mismatch.</exception>
    public static void Check(VmConfig config)
    {
        var page = config.Memory?.PageBytes ?? 0;
        if (page is not (0 or LargePage or HugePage))
            throw new VmmProblemException("page-size-unsupported", "Guest memory cannot be made of pages of this size.", $"Pages of {page:#,0} bytes were asked for.", $"Choose {LargePage} (2 MiB), {HugePage} (1 GiB), or 0 for ordinary pages.", "memory.pageBytes");
        var unit = Math.Max(page, LargePage);
        if (config.MemoryBytes <= 0 || config.MemoryBytes % unit != 0)
        {
            throw new VmmProblemException("memory-not-aligned", $"The VM's memory is not made of whole {Mebibytes(unit)} MiB pages.", $"{config.MemoryBytes:#,0} bytes were asked for.",
                $"Choose {Math.Max(1, (config.MemoryBytes / unit) + (config.MemoryBytes > 0 ? 1 : 0)) * Mebibytes(unit):#,0} MiB.", "memoryBytes");
        }
        if (config.Memory?.Nodes is { Count: > 0 } nodes)
            CheckNodes(config, nodes, unit);
    }

    /// <summary>Checks that the host has the nodes and the huge pages.</summary>
    /// <exception cref="VmmProblemException">host-node-missing, host-node-too-small, hugepages-not-available.</exception>
    public static void CheckHost(VmConfig config, HostRoot host)
    {
        if (config.Memory is not { } memory)
            return;
        foreach (var bound in memory.Nodes.Where(n => n.HostNode is not null).GroupBy(n => n.HostNode!.Value))
            CheckHostNode(new MemoryNode(host, bound.Key), bound.Key, bound.Sum(n => n.Bytes), memory.PageBytes, host);
        if (memory.PageBytes == 0)
            return;
        var needed = config.MemoryBytes / memory.PageBytes;
        if (MemoryNode.FreeHugePages(host, memory.PageBytes) is not { } free)
            throw NoPages($"This host has no pages of {Mebibytes(memory.PageBytes):#,0} MiB.", $"Choose another page size{(memory.PageBytes == HugePage ? ", or a host whose CPU has the pdpe1gb flag" : "")}.");
        if (free < needed)
            throw NoPages($"The host has {free:#,0} free pages of {Mebibytes(memory.PageBytes):#,0} MiB; {needed:#,0} are needed.", Reserve(memory.PageBytes));
    }

    private static void CheckNodes(VmConfig config, IReadOnlyList<VmMemoryNode> nodes, long unit)
    {
        if (nodes.Count > MaxNodes)
            throw Mismatch($"{nodes.Count} nodes were asked for; a VM has at most {MaxNodes}.", "Ask for fewer nodes.");
        for (var i = 0; i < nodes.Count; i++)
        {
            if (nodes[i].Bytes <= 0 || nodes[i].Bytes % unit != 0)
                throw Mismatch($"Node {i} has {nodes[i].Bytes:#,0} bytes, which are not whole pages of {Mebibytes(unit):#,0} MiB.", $"Give it a multiple of {Mebibytes(unit):#,0} MiB.");
        }
        // Widened, so that sizes that overflow do not look right.
        var sum = nodes.Aggregate((Int128)0, (all, n) => all + n.Bytes);
        if (sum != config.MemoryBytes)
            throw Mismatch($"The nodes have {sum:#,0} bytes together; the VM has {config.MemoryBytes:#,0}.", "Make the nodes' sizes add up to the VM's memory.");
        var seen = new HashSet<int>();
        foreach (var vcpu in nodes.SelectMany(n => n.Vcpus))
        {
            if (vcpu < 0 || vcpu >= config.Vcpus)
                throw Mismatch($"A node names vCPU {vcpu}; the VM has {config.Vcpus}, counted from 0.", "Name vCPUs that the VM has.");
            if (!seen.Add(vcpu))
                throw Mismatch($"vCPU {vcpu} is named twice.", "Put each vCPU into one node.");
        }
        if (nodes.Count > 1 && seen.Count < config.Vcpus)
            throw Mismatch($"vCPU {Enumerable.Range(0, config.Vcpus).First(v => !seen.Contains(v))} is in no node.", "Put each vCPU into one node.");
    }

    private static void CheckHostNode(MemoryNode node, int number, long bytes, long pageBytes, HostRoot host)
    {
        if (!node.Exists)
        {
            var all = MemoryNode.All(host);
            throw new VmmProblemException("host-node-missing", "The host does not have that NUMA node.", $"Node {number} was asked for; the host has {(all.Count == 0 ? "none that it tells of" : string.Join(", ", all))}.", "Name one of the host's nodes.", "memory.nodes");
        }
        if (pageBytes == 0)
        {
            if (node.MemoryBytes is { } total && total < bytes)
                throw new VmmProblemException("host-node-too-small", "A NUMA node of the host has less memory than is to be bound to it.", $"Node {number} has {total:#,0} bytes; {bytes:#,0} were asked for.", "Bind less memory to it, or spread the VM over more nodes.", "memory.nodes");
            return;
        }
        var free = node.FreeHugePages(pageBytes) ?? 0;
        if (free < bytes / pageBytes)
            throw NoPages($"Node {number} of the host has {free:#,0} free pages of {Mebibytes(pageBytes):#,0} MiB; {bytes / pageBytes:#,0} are needed.", Reserve(pageBytes, number));
    }

    private static string Reserve(long pageBytes, int? node = null) =>
        $"Reserve more (/sys/{(node is { } n ? $"devices/system/node/node{n}" : "kernel/mm")}/hugepages/hugepages-{pageBytes >> 10}kB/nr_hugepages; 1 GiB pages best at boot, with hugepagesz=1G hugepages=N), or give the VM less memory.";

    private static VmmProblemException NoPages(string detail, string remedy) => new("hugepages-not-available", "The host does not have enough free huge pages.", detail, remedy, "memory.pageBytes");

    private static VmmProblemException Mismatch(string detail, string remedy) => new("memory-nodes-mismatch", "The VM's NUMA nodes do not fit the VM.", detail, remedy, "memory.nodes");

    private static long Mebibytes(long bytes) => bytes >> 20;
}
