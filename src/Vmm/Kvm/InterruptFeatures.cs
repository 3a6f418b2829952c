using Exitless.Linux.Kvm;
using Exitless.Vmm.Control;

namespace Exitless.Vmm.Kvm;

/// <summary>What of CPUID and of KVM's capabilities follows from <see cref="VmInterrupts"/>.</summary>
internal static class InterruptFeatures
{
    private const uint X2Apic = 1u << 21;       // leaf 1, ECX
    private const uint Features = 0x40000001;   // Documentation/virt/kvm/x86/cpuid.rst
    private const uint PvEoi = 1u << 6;

    /// <summary>The leaves without what is hidden.</summary>
    public static KvmCpuidEntry[] Hide(ReadOnlySpan<KvmCpuidEntry> supported, VmInterrupts interrupts)
    {
        var shown = supported.ToArray();
        foreach (ref var entry in shown.AsSpan())
        {
            if (entry.Function == 1 && interrupts.HideX2Apic)
                entry.Ecx &= ~X2Apic;
            else if (entry.Function == Features && interrupts.HidePvEoi)
                entry.Eax &= ~PvEoi;
        }
        return shown;
    }

    /// <summary>Lets the guest's idle instructions run without exits, as far as this KVM has them. Before the first vCPU.</summary>
    public static void OwnCpus(KvmSystem kvm, KvmVm vm)
    {
        const int mwait = 1, halt = 2, pause = 4;
        var offered = kvm.CheckExtension(KvmCapabilities.DisableExits) & (mwait | halt | pause);
        if (offered > 0)
            vm.DisableExits((ulong)offered);
    }
}
