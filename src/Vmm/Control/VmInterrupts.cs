namespace Exitless.Vmm.Control;

/// <summary>What decides how a VM's interrupts reach it and are completed. Everything off is right for a host whose APIC is not virtualized and whose CPUs are shared.</summary>
public sealed record VmInterrupts
{
    /// <summary>
    /// True: the guest's APICs stay in xAPIC mode. Right for AVIC without x2AVIC: there KVM emulates x2APIC, and every end of an interrupt (EOI) exits
    /// (arch/x86/kvm/svm/avic.c).
    /// </summary>
    public bool HideX2Apic { get; init; }

    /// <summary>True: the guest is not told of KVM_FEATURE_PV_EOI, which costs it a look at memory at each interrupt and saves nothing where EOI does not exit.</summary>
    public bool HidePvEoi { get; init; }

    /// <summary>
    /// True: HLT, PAUSE and MWAIT do not exit (KVM_CAP_X86_DISABLE_EXITS). For vCPUs that have a host CPU each to themselves (<see cref="VmConfig.VcpuCpus"/> names one
    /// for every vCPU); anybody else on that CPU would starve.
    /// </summary>
    public bool OwnCpus { get; init; }

    /// <summary>True: interrupts of assigned devices are injected even where the host could post them.</summary>
    public bool Injected { get; init; }

    /// <summary>Whether interrupts of assigned devices go straight into the guest by ELI (docs/eli.md), for a KVM that has it. The guest must see x2APIC and no KVM_FEATURE_PV_EOI.</summary>
    public VmDirectInterrupts Direct { get; init; }
}

/// <summary>How far ELI takes the host out of a device interrupt.</summary>
public enum VmDirectInterrupts
{
    /// <summary>Not at all.</summary>
    None,

    /// <summary>The guest takes interrupts without an exit; each end of an interrupt (EOI) exits. The paper's "delivery only".</summary>
    DeliveryOnly,

    /// <summary>Neither exits.</summary>
    Full,
}
