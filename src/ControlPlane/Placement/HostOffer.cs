namespace Exitless.ControlPlane.Placement;

/// <summary>What a host has for a new VM.</summary>
/// <param name="Id">The host's id.</param>
/// <param name="Name">Its name.</param>
/// <param name="Revoked">Its certificates were revoked.</param>
/// <param name="Recovering">The database was restored, and the host has not said since what it was told.</param>
/// <param name="Linked">Its link is up.</param>
/// <param name="Cpus">CPUs; null: no inventory yet.</param>
/// <param name="MemoryMib">Memory of the machine.</param>
/// <param name="TakenMib">Memory of the VMs that run or shall run.</param>
/// <param name="Missing">Names of the conditions of VMs that it lacks.</param>
/// <param name="HasKernel">It has the kernel that was asked for.</param>
/// <param name="HasInitrd">It has the initrd that was asked for.</param>
/// <param name="FreeVfs">Addresses of free VFs by NUMA node, in order; those of no known node under -1.</param>
internal sealed record HostOffer(
    Guid Id, string Name, bool Revoked, bool Recovering, bool Linked, int? Cpus, long MemoryMib, long TakenMib, IReadOnlyList<string> Missing, bool HasKernel, bool HasInitrd,
    IReadOnlyDictionary<int, IReadOnlyList<string>> FreeVfs);
