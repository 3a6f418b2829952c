namespace Exitless.ControlPlane.Api;

/// <summary>Which of the hosts that fit is the best.</summary>
public enum PlacementPolicy
{
    /// <summary>The one with the largest share of its memory left: load is spread.</summary>
    Spread,
    /// <summary>The one with the smallest share left: hosts are filled one after the other.</summary>
    Pack,
}

/// <summary>What a VM would need.</summary>
/// <param name="Vcpus">vCPUs, 1 to 64.</param>
/// <param name="MemoryMib">Memory in MiB, from 1.</param>
/// <param name="Vfs">VFs, 0 to 64.</param>
/// <param name="Kernel">Image that the host must have; null: any.</param>
/// <param name="Initrd">Image that the host must have; null: none.</param>
/// <param name="OneNode">Whether all VFs must be on one NUMA node.</param>
/// <param name="Policy">Which host is the best.</param>
/// <param name="Limit">Hosts to tell of, 1 to 1000.</param>
public sealed record PlacementRequest(int Vcpus, int MemoryMib, int Vfs, string? Kernel, string? Initrd, bool OneNode, PlacementPolicy Policy, int Limit);

/// <summary>Where a VM would go. Nothing is reserved: create it with the host and the devices that are told, and ask again when somebody was quicker.</summary>
/// <param name="Chosen">The best host; null: none fits.</param>
/// <param name="Fitting">Hosts that fit.</param>
/// <param name="Refused">Hosts that do not.</param>
/// <param name="Hosts">The hosts one by one, the best first, then those that do not fit, by name; at most as many as were asked for.</param>
public sealed record PlacementDto(PlacedDto? Chosen, int Fitting, int Refused, IReadOnlyList<PlacementHostDto> Hosts);

/// <summary>A host with the devices that a VM would have there.</summary>
/// <param name="HostId">The host's id.</param>
/// <param name="HostName">Its name.</param>
/// <param name="NumaNode">The NUMA node of all of the devices; null: they are on several, or there are none, or the host does not say.</param>
/// <param name="Devices">PCI addresses of free VFs, as many as were asked for.</param>
public sealed record PlacedDto(Guid HostId, string HostName, int? NumaNode, IReadOnlyList<string> Devices);

/// <summary>What speaks for a host, or against it.</summary>
/// <param name="HostId">The host's id.</param>
/// <param name="HostName">Its name.</param>
/// <param name="Fits">Whether the VM could run there.</param>
/// <param name="MemoryLeft">The share of its memory, 0 to 1, that would be left; null: it does not fit.</param>
/// <param name="Code">Why not, for programs: host-revoked, host-recovering, host-not-connected, host-not-inventoried, capability-missing, vcpus-too-many, memory-too-much, memory-short, image-not-found, vfs-short or vfs-short-on-node; null: it fits.</param>
/// <param name="Reason">Why not, in words; null: it fits.</param>
public sealed record PlacementHostDto(Guid HostId, string HostName, bool Fits, double? MemoryLeft, string? Code, string? Reason);

/// <summary>Finds hosts for VMs.</summary>
public interface IPlacement
{
    /// <summary>Says where a VM would go, and for each other host why not there; <see cref="ProblemException"/> <c>placement-invalid</c>.</summary>
    Task<PlacementDto> PlanAsync(PlacementRequest request, CancellationToken ct);
}
