using Exitless.Linux.Kvm;

namespace Exitless.Vmm.Kvm;

/// <summary>A guest's CPUID: what KVM supports, made true for this vCPU (its APIC id, its siblings, and what it shares with them).</summary>
internal static class GuestCpuid
{
    private const uint HypervisorPresent = 1u << 31, TscDeadline = 1u << 24, HyperThreading = 1u << 28, LegacyMultiCore = 1u << 1;

    /// <summary>Patches a copy of the supported leaves for one vCPU.</summary>
    /// <param name="supported">What KVM can give.</param>
    /// <param name="topology">How the vCPUs are grouped.</param>
    /// <param name="vcpu">Which of them, from 0.</param>
    /// <param name="tscDeadline">Whether KVM has the local APIC's deadline timer.</param>
    public static KvmCpuidEntry[] For(ReadOnlySpan<KvmCpuidEntry> supported, CpuTopology topology, int vcpu, bool tscDeadline)
    {
        var apicId = topology.ApicId(vcpu);
        var entries = new List<KvmCpuidEntry>(supported.Length + 6);
        uint highest = 0;
        var hasDies = false;
        foreach (var entry in supported)
        {
            if (entry.Function == 0)
                highest = entry.Eax;
            hasDies |= entry.Function == 0x1f;
            // KVM gives the topology leaves without their levels, so they are made anew; AMD's newer one describes the host's dies.
            if (entry.Function is not (0xb or 0x1f or 0x80000026))
                entries.Add(Patch(entry, topology, vcpu, tscDeadline));
        }
        if (highest >= 0xb)
            entries.AddRange(Levels(0xb, topology, apicId));
        if (hasDies && highest >= 0x1f)
            entries.AddRange(Levels(0x1f, topology, apicId));
        return [.. entries];
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

    private static KvmCpuidEntry Patch(KvmCpuidEntry entry, CpuTopology topology, int vcpu, bool tscDeadline)
    {
        var apicId = topology.ApicId(vcpu);
        var siblings = topology.PerSocket > 1;
        switch (entry.Function)
        {
            case 1:
                // How many APIC ids a socket takes; 8 bits, where 255 stands for all that do not fit.
                entry.Ebx = (entry.Ebx & 0xffff) | (Math.Min(1u << topology.SocketBits, 255) << 16) | (apicId << 24);
                entry.Ecx |= HypervisorPresent | (tscDeadline ? TscDeadline : 0);
                entry.Edx = siblings ? entry.Edx | HyperThreading : entry.Edx & ~HyperThreading;
                break;
            case 4:
                entry.Eax = Shared(entry.Eax, topology) & 0x03ff_ffff;
                // APIC ids of cores in a socket, less one; 6 bits.
                if ((entry.Eax & 0x1f) != 0)
                    entry.Eax |= Math.Min((1u << (topology.SocketBits - topology.ThreadBits)) - 1, 63) << 26;
                break;
            case 0x80000001:
                entry.Ecx = siblings ? entry.Ecx | LegacyMultiCore : entry.Ecx & ~LegacyMultiCore;
                break;
            case 0x80000008:
                entry.Ecx = (entry.Ecx & ~0xf0ffu) | (uint)Math.Min(topology.PerSocket - 1, 255) | ((uint)topology.SocketBits << 12);
                break;
            case 0x8000001d:
                entry.Eax = Shared(entry.Eax, topology);
                break;
            case 0x8000001e:
                // Extended APIC id; the core's number in its socket and its threads; the socket as the node, the only one of its kind.
                entry.Eax = apicId;
                entry.Ebx = ((uint)(vcpu / topology.Threads % topology.Cores) & 0xff) | ((uint)(topology.Threads - 1) << 8);
                entry.Ecx = (uint)topology.SocketOf(vcpu) & 0xff;
                break;
            default:
                break;
        }
        return entry;
    }

    /// <summary>Who shares a cache (bits 25-14, less one, in APIC ids): the threads of a core, and for the third level the socket. Type 0 ends the list.</summary>
    private static uint Shared(uint eax, CpuTopology topology)
    {
        if ((eax & 0x1f) == 0)
            return eax;
        var bits = (eax >> 5 & 7) >= 3 ? topology.SocketBits : topology.ThreadBits;
        return (eax & ~(0xfffu << 14)) | (((1u << bits) - 1) << 14);
    }

    /// <summary>The levels of leaf 0xB or 0x1F: threads of a core, then cores of a socket, then the end.</summary>
    private static KvmCpuidEntry[] Levels(uint function, CpuTopology topology, uint apicId)
    {
        const uint thread = 1 << 8, core = 2 << 8;
        return
        [
            Level(0, (uint)topology.ThreadBits, (uint)topology.Threads, thread),
            Level(1, (uint)topology.SocketBits, (uint)topology.PerSocket, core),
            Level(2, 0, 0, 0),
        ];

        KvmCpuidEntry Level(uint index, uint shift, uint vcpus, uint kind) =>
            new() { Function = function, Index = index, Flags = KvmCpuidEntry.IndexMatters, Eax = shift, Ebx = vcpus, Ecx = kind | index, Edx = apicId };
    }
}
