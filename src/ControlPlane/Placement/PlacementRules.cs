using Exitless.ControlPlane.Api;

namespace Exitless.ControlPlane.Placement;

/// <summary>Whether a host fits, and how well. The filters are those that <see cref="Vms.VmRules"/> refuses a VM by, so that what is planned can be made.</summary>
internal static class PlacementRules
{
    private const int NoNode = -1;
    private static readonly string[] AlwaysNeeded = ["kvm", "virtualization"];
    private static readonly string[] NeededByDevices = ["kvm", "virtualization", "iommu", "interrupt-remapping"];

    /// <summary>The first thing that speaks against a host; null: it fits.</summary>
    public static (string Code, string Reason)? Against(PlacementRequest r, HostOffer h)
    {
        if (h.Revoked)
            return ("host-revoked", "its certificates were revoked");
        if (h.Recovering)
            return ("host-recovering", "the database was restored, and it has not connected since");
        if (!h.Linked)
            return ("host-not-connected", "its link is lost");
        if (h.Cpus is not { } cpus)
            return ("host-not-inventoried", "it has not reported what it has yet");
        if (h.Missing.Intersect(r.Vfs > 0 ? NeededByDevices : AlwaysNeeded, StringComparer.Ordinal).ToList() is { Count: > 0 } missing)
            return ("capability-missing", $"it lacks {string.Join(" and ", missing)}");
        if (r.Vcpus > cpus)
            return ("vcpus-too-many", $"it has {cpus} CPUs, and {r.Vcpus} vCPUs are asked for");
        if (r.MemoryMib > h.MemoryMib)
            return ("memory-too-much", $"it has {h.MemoryMib} MiB, and {r.MemoryMib} are asked for");
        if (r.MemoryMib + h.TakenMib > h.MemoryMib)
            return ("memory-short", $"{h.MemoryMib - h.TakenMib} of its {h.MemoryMib} MiB are left, and {r.MemoryMib} are asked for");
        if (!h.HasKernel)
            return ("image-not-found", $"it has no kernel '{r.Kernel}'");
        if (!h.HasInitrd)
            return ("image-not-found", $"it has no initrd '{r.Initrd}'");
        var free = h.FreeVfs.Sum(n => n.Value.Count);
        if (free < r.Vfs)
            return ("vfs-short", $"it has {Count(free)}, and {r.Vfs} are asked for");
        if (r is { OneNode: true, Vfs: > 0 } && Node(r, h) is null)
            return ("vfs-short-on-node", $"no NUMA node of it has {Count(r.Vfs)}; the most are {h.FreeVfs.Max(n => n.Value.Count)}");
        return null;
    }

    /// <summary>The devices that the VM would have: on one node where that is possible, and of the nodes that have enough the one that is left with the fewest.</summary>
    public static PlacedDto Place(PlacementRequest r, HostOffer h)
    {
        if (r.Vfs == 0)
            return new PlacedDto(h.Id, h.Name, null, []);
        if (Node(r, h) is { } node)
            return new PlacedDto(h.Id, h.Name, node == NoNode ? null : node, [.. h.FreeVfs[node].Take(r.Vfs)]);
        return new PlacedDto(h.Id, h.Name, null, [.. h.FreeVfs.OrderByDescending(n => n.Value.Count).ThenBy(n => n.Key).SelectMany(n => n.Value).Take(r.Vfs)]);
    }

    /// <summary>The share of memory that would be left.</summary>
    public static double MemoryLeft(PlacementRequest r, HostOffer h) => (double)(h.MemoryMib - h.TakenMib - r.MemoryMib) / h.MemoryMib;

    private static int? Node(PlacementRequest r, HostOffer h) =>
        h.FreeVfs.Where(n => n.Value.Count >= r.Vfs).OrderBy(n => n.Value.Count).ThenBy(n => n.Key).Select(n => (int?)n.Key).FirstOrDefault();

    private static string Count(int vfs) => vfs == 1 ? "1 free VF" : $"{vfs} free VFs";
}
