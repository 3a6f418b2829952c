using Exitless.Linux.Kvm;

namespace Exitless.Vmm.Kvm;

/// <summary>A guest's CPUID: what KVM supports, made true for this vCPU (its APIC id and the number of its siblings).</summary>
internal static class GuestCpuid
{
    private const uint HypervisorPresent = 1u << 31, TscDeadline = 1u << 24;

    /// <summary>Patches a copy of the supported leaves for one vCPU. All vCPUs are cores of one socket, without threads.</summary>
    public static KvmCpuidEntry[] For(ReadOnlySpan<KvmCpuidEntry> supported, uint apicId, int vcpus, bool tscDeadline)
    {
        var entries = supported.ToArray();
        var coreBits = vcpus > 1 ? (uint)(32 - uint.LeadingZeroCount((uint)vcpus - 1)) : 0;
        foreach (ref var entry in entries.AsSpan())
        {
            switch (entry.Function)
            {
                case 1:
                    entry.Ebx = (entry.Ebx & 0xffff) | ((uint)Math.Min(vcpus, 255) << 16) | (apicId << 24);
                    entry.Ecx |= HypervisorPresent | (tscDeadline ? TscDeadline : 0);
                    // Hyper-Threading flag: more than one logical processor in the package.
                    entry.Edx = vcpus > 1 ? entry.Edx | 1u << 28 : entry.Edx & ~(1u << 28);
                    break;
                case 4:
                    // Cores of the package, less one; and every cache belongs to one core.
                    entry.Eax = (entry.Eax & 0x3fff) | ((uint)(Math.Min(vcpus, 64) - 1) << 26);
                    break;
                case 0xb or 0x1f:
                    Topology(ref entry, apicId, vcpus, coreBits);
                    break;
                case 0x80000008:
                    entry.Ecx = (entry.Ecx & ~0xf0ffu) | ((uint)Math.Min(vcpus, 256) - 1) | (coreBits << 12);
                    break;
                case 0x8000001e:
                    // Extended APIC id, compute unit with one thread, node 0 of 1.
                    (entry.Eax, entry.Ebx, entry.Ecx) = (apicId, apicId & 0xff, 0);
                    break;
                default:
                    break;
            }
        }
        return entries;
    }

    /// <summary>Physical address bits of the guest's CPUs (leaf 0x80000008); 36 where the leaf is missing.</summary>
    public static int PhysicalAddressBits(ReadOnlySpan<KvmCpuidEntry> supported)
    {
        foreach (ref readonly var entry in supported)
        {
            if (entry.Function == 0x80000008)
                return (int)(entry.Eax & 0xff);
        }
        return 36;
    }

    private static void Topology(ref KvmCpuidEntry entry, uint apicId, int vcpus, uint coreBits)
    {
        const uint threadLevel = 1u << 8, coreLevel = 2u << 8;
        (entry.Eax, entry.Ebx, entry.Ecx) = entry.Index switch
        {
            0 => (0u, 1u, threadLevel),
            1 => (coreBits, (uint)vcpus, coreLevel | 1),
            _ => (0u, 0u, entry.Index),
        };
        entry.Edx = apicId;
    }
}
