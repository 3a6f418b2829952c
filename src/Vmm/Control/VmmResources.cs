namespace Exitless.Vmm.Control;

/// <summary>What a VMM process holds of things that can run out or leak.</summary>
/// <param name="Collections">Garbage collections since the process began.</param>
/// <param name="AllocatedBytes">Managed memory that its threads have allocated since it began.</param>
public sealed record VmmResources(int Collections, long AllocatedBytes)
{
    /// <summary>KVM's GSIs in use, those of the IOAPIC's pins among them; 0 without a machine.</summary>
    public int Gsis { get; init; }

    /// <summary>KVM's memory slots in use besides those of the guest's RAM: mapped parts of BARs.</summary>
    public int MemorySlots { get; init; }

    /// <summary>How many more IOMMU mappings the kernel would take (dma_entry_limit of vfio_iommu_type1, less those that are there); null without an assigned device, or where the kernel does not tell.</summary>
    public long? DmaMappingsLeft { get; init; }

    /// <summary>True if the VM's devices came by iommufd, false if by their groups; null without an assigned device, and from a VMM of protocol 1.</summary>
    public bool? Iommufd { get; init; }
}
