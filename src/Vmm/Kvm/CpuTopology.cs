using System.Numerics;

namespace Exitless.Vmm.Kvm;

/// <summary>
/// How a guest's vCPUs are grouped. Each level takes a field of whole bits in the APIC id, so ids have gaps where a count is no power of two
/// (Intel SDM volume 3, section 10.9.1; AMD APM volume 3, appendix E.4). KVM numbers vCPUs by these ids.
/// </summary>
/// <param name="Sockets">Sockets.</param>
/// <param name="Cores">Cores of a socket.</param>
/// <param name="Threads">Threads of a core.</param>
internal readonly record struct CpuTopology(int Sockets, int Cores, int Threads)
{
    /// <summary>All vCPUs.</summary>
    public int Count => Sockets * Cores * Threads;

    /// <summary>vCPUs of a socket.</summary>
    public int PerSocket => Cores * Threads;

    /// <summary>Bits of the APIC id that tell threads of a core apart.</summary>
    public int ThreadBits => Bits(Threads);

    /// <summary>Bits of the APIC id that tell vCPUs of a socket apart.</summary>
    public int SocketBits => Bits(Cores) + ThreadBits;

    /// <summary>The highest APIC id.</summary>
    public uint HighestApicId => ApicId(Count - 1);

    /// <summary>One socket of so many cores with one thread each.</summary>
    public static CpuTopology OneSocket(int vcpus) => new(1, vcpus, 1);

    /// <summary>The socket of a vCPU; threads of a core come one after another, then cores, then sockets.</summary>
    public int SocketOf(int vcpu) => vcpu / PerSocket;

    /// <summary>The APIC id of a vCPU.</summary>
    public uint ApicId(int vcpu) =>
        ((uint)SocketOf(vcpu) << SocketBits) | ((uint)(vcpu / Threads % Cores) << ThreadBits) | (uint)(vcpu % Threads);

    private static int Bits(int count) => count <= 1 ? 0 : BitOperations.Log2((uint)count - 1) + 1;
}
