using Exitless.Linux;
using Exitless.Linux.Kvm;
using Exitless.Vmm.Control;
using Exitless.Vmm.Kvm;
using Exitless.Vmm.Memory;

namespace Exitless.Vmm.Interrupts;

/// <summary>
/// The memory of ELI's shadow interrupt descriptor tables: a page for each vCPU that the guest can read and KVM alone fills. They lie in the first MiB, which Linux
/// maps wherever it maps RAM, so that the guest need not know of them (docs/eli.md).
/// </summary>
internal sealed class ShadowTables : IDisposable
{
    private const ulong PageBytes = 4096;
    private const ulong Delivery = 1, Completion = 2;   // src/Eli/kernel/eli.h
    private readonly Mapping _memory;
    private readonly ulong _pages;

    private ShadowTables(ulong pages)
    {
        _pages = pages;
        _memory = Mapping.Anonymous(pages * PageBytes, PageBytes);
    }

    /// <summary>Guest-physical addresses.</summary>
    public (ulong Start, ulong End) Range => (MemoryMap.Shadows, MemoryMap.Shadows + (_pages * PageBytes));

    /// <exception cref="VmmProblemException">no-direct-interrupts, too-many-shadows.</exception>
    public static ShadowTables Make(KvmSystem kvm, CpuTopology topology)
    {
        if (kvm.CheckExtension(KvmCapabilities.DirectInterrupts) <= 0)
        {
            throw new VmmProblemException("no-direct-interrupts", "This host's KVM has no direct interrupts (ELI).", "KVM_CAP_X86_ELI is not there.",
                "Load the modules that src/Eli builds for this kernel, or set interrupts.direct to none.", "interrupts.direct");
        }
        // KVM's number of a vCPU is its APIC id.
        const ulong most = (MemoryMap.AcpiTables - MemoryMap.Shadows) / PageBytes;
        var pages = topology.HighestApicId + 1UL;
        if (pages > most)
        {
            throw new VmmProblemException("too-many-shadows", "The VM's APIC ids leave no room for its shadow interrupt tables.",
                $"The highest id is {topology.HighestApicId}; there is room for {most} tables.", "Choose counts of cores and threads that are powers of two, or fewer vCPUs.", "topology");
        }
        return new ShadowTables(pages);
    }

    /// <summary>Gives the tables to KVM.</summary>
    /// <returns>The next free slot.</returns>
    public uint AddTo(KvmVm vm, uint slot)
    {
        vm.AddReadOnlyMemory(slot, MemoryMap.Shadows, _pages * PageBytes, _memory.Address);
        return slot + 1;
    }

    /// <summary>Switches direct interrupts on, or, with <see cref="VmDirectInterrupts.None"/>, suspends them; at any moment.</summary>
    public void Switch(KvmVm vm, VmDirectInterrupts direct) => vm.UseDirectInterrupts(
        direct switch { VmDirectInterrupts.Full => Delivery | Completion, VmDirectInterrupts.DeliveryOnly => Delivery, _ => 0 }, MemoryMap.Shadows, _pages);

    public void Dispose() => _memory.Dispose();
}
