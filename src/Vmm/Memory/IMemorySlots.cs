namespace Exitless.Vmm.Memory;

/// <summary>Memory that the guest reaches without an exit (KVM_SET_USER_MEMORY_REGION).</summary>
internal interface IMemorySlots
{
    /// <summary>Maps host memory into the guest; false if KVM refuses (an overlap, most likely). Allocates nothing.</summary>
    bool TryAddMemory(uint slot, ulong guestAddress, ulong size, ulong hostAddress);

    void RemoveMemory(uint slot);
}
