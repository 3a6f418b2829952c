namespace Exitless.Vmm.Control;

/// <summary>What guest memory is made of.</summary>
public sealed record VmMemory
{
    /// <summary>Bytes of a page: 2 MiB or 1 GiB from the host's pools of huge pages, which are then all taken at the start; 0: ordinary pages, larger ones where the kernel finds them.</summary>
    public long PageBytes { get; init; }

    /// <summary>True: all pages are supplied before the guest starts. Huge pages always are.</summary>
    public bool Prefault { get; init; }

    /// <summary>The guest's NUMA nodes, which follow one another in its memory; none: one node, of which the guest is not told.</summary>
    public IReadOnlyList<VmMemoryNode> Nodes { get => field ?? []; init; }
}

/// <summary>One NUMA node of the guest.</summary>
public sealed record VmMemoryNode
{
    /// <summary>Its memory in bytes, a multiple of 2 MiB and of <see cref="VmMemory.PageBytes"/>; together the nodes have all of the VM's.</summary>
    public required long Bytes { get; init; }

    /// <summary>The host's NUMA node that all of it comes from; null: from anywhere.</summary>
    public int? HostNode { get; init; }

    /// <summary>Which vCPUs belong to it, counted from 0; with two nodes or more each vCPU is in one of them.</summary>
    public IReadOnlyList<int> Vcpus { get => field ?? []; init; }
}

/// <summary>What happens when a guest resets.</summary>
public enum VmOnReset
{
    /// <summary>The VM ends with <see cref="VmEndReason.Reset"/>.</summary>
    End,
    /// <summary>The guest starts again in the same process, with the same devices and memory, from the same kernel.</summary>
    Restart,
}
