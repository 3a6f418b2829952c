using System.Numerics;

namespace Exitless.Vmm.Interrupts;

/// <summary>Whom a message-signalled interrupt addresses (Intel SDM volume 3, section 11.11.1; with 32-bit ids in bits 63 to 40 as KVM_CAP_X2APIC_API has them).</summary>
internal static class MessageTarget
{
    private const ulong Logical = 4;
    private const uint EveryXapic = 0xff;

    /// <returns>The APIC id of the only target; null if there are several or none.</returns>
    public static uint? Of(ulong address)
    {
        var id = (uint)(address >> 12 & 0xff) | ((uint)(address >> 40) << 8);
        if ((address & Logical) == 0)
            return id == EveryXapic ? null : id;
        // A set of bits: in the flat model 8 of them, in a cluster of x2APIC 16, with the cluster above them (section 11.12.10.2). The lowest cluster is like the flat model.
        var members = id & 0xffff;
        return BitOperations.PopCount(members) == 1 ? (id >> 16 << 4) | (uint)BitOperations.TrailingZeroCount(members) : null;
    }
}
