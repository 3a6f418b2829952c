namespace Exitless.Vmm.Interrupts;

/// <summary>Takes the GSI routing table (KVM_SET_GSI_ROUTING).</summary>
internal interface IGsiTable
{
    /// <summary>Replaces the whole table.</summary>
    /// <param name="table">struct kvm_irq_routing: the number of entries, flags, and the entries.</param>
    bool TrySetRoutes(Span<byte> table);
}
