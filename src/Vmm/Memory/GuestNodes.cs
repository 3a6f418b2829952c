using Exitless.Linux;
using Exitless.Linux.Sysfs;
using Exitless.Vmm.Control;

namespace Exitless.Vmm.Memory;

/// <summary>A NUMA node of the guest, with its place in guest memory.</summary>
/// <param name="Offset">Where its memory begins in the memory file.</param>
/// <param name="Bytes">Its size.</param>
/// <param name="HostNode">The host's node that it is bound to; null: none.</param>
/// <param name="Vcpus">Its vCPUs.</param>
internal sealed record GuestNode(ulong Offset, ulong Bytes, int? HostNode, IReadOnlyList<int> Vcpus)
{
    /// <summary>The guest-physical ranges: two where the PCI hole lies between.</summary>
    public IEnumerable<(ulong Address, ulong Bytes)> Ranges
    {
        get
        {
            var low = Offset >= MemoryMap.PciHole ? 0 : Math.Min(Bytes, MemoryMap.PciHole - Offset);
            if (low > 0)
                yield return (Offset, low);
            if (Bytes > low)
                yield return (MemoryMap.FourGibibytes + Offset + low - MemoryMap.PciHole, Bytes - low);
        }
    }
}

/// <summary>All NUMA nodes of a guest, and how far they are from one another.</summary>
internal sealed class GuestNodes
{
    private const int Local = 10, Remote = 20;

    private GuestNodes(IReadOnlyList<GuestNode> nodes, byte[,] distances)
    {
        Nodes = nodes;
        Distances = distances;
    }

    public IReadOnlyList<GuestNode> Nodes { get; }

    /// <summary>As the SLIT has them.</summary>
    public byte[,] Distances { get; }

    /// <summary>Lays the nodes out, one behind the other. Distances are those of the host's nodes that they are bound to, and otherwise the usual ones.</summary>
    /// <param name="memory">A checked backing.</param>
    /// <param name="host">The host, for its distances.</param>
    public static GuestNodes Of(VmMemory? memory, HostRoot host)
    {
        var nodes = new List<GuestNode>();
        ulong offset = 0;
        foreach (var node in memory?.Nodes ?? [])
        {
            nodes.Add(new GuestNode(offset, (ulong)node.Bytes, node.HostNode, node.Vcpus));
            offset += (ulong)node.Bytes;
        }
        var numbers = MemoryNode.All(host).ToList();
        var distances = new byte[nodes.Count, nodes.Count];
        for (var a = 0; a < nodes.Count; a++)
        {
            var all = nodes[a].HostNode is { } from ? new MemoryNode(host, from).Distances() : [];
            for (var b = 0; b < nodes.Count; b++)
            {
                var index = nodes[b].HostNode is { } to ? numbers.IndexOf(to) : -1;
                var told = index >= 0 && index < all.Count ? all[index] : 0;
                // A guest throws the whole table away if another node is as near as the node itself; two of them may share one of the host's.
                distances[a, b] = (byte)(a == b ? Local : told is > Local and <= byte.MaxValue ? told : Remote);
            }
        }
        return new GuestNodes(nodes, distances);
    }
}
