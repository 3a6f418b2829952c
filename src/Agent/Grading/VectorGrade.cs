namespace Exitless.Agent.Grading;

/// <summary>How the interrupts of one MSI-X vector reached the guest in a second. The numbers are those of the series <c>grade.‹address›.msix.‹n›</c>; they never change their meaning.</summary>
internal enum VectorGrade
{
    /// <summary>No interrupt came.</summary>
    Idle = 0,

    /// <summary>The interrupt made the vCPU exit: KVM put it in at the next entry, or the host took it on the vCPU's own CPU.</summary>
    Injected = 1,

    /// <summary>The vCPU had halted; the interrupt woke it, and the exit was the halt's.</summary>
    Woken = 2,

    /// <summary>No exit, but a CPU of the host took the interrupt and passed it on (APICv or AVIC without a posting IOMMU).</summary>
    Assisted = 3,

    /// <summary>The IOMMU posted the interrupt to the running vCPU; no CPU of the host saw it.</summary>
    Posted = 4,

    /// <summary>
    /// ELI: what came, the guest took through its shadow IDT, and no CPU of the host saw it, but for the few that came in outside of direct mode and were raised again. Where nobody counts in the
    /// guest it is the vCPU's mode that says this, so it does not say that an interrupt came.
    /// </summary>
    Direct = 5,

    /// <summary>The host's count stood still where interrupts can pass the host by, and nobody counted in the guest: idle and posted look the same; by ELI, where the vCPU was in direct mode for a part of the time, or has no gate for some vector.</summary>
    UnknownSilent = 16,

    /// <summary>This KVM lacks a statistic that tells the grades apart.</summary>
    UnknownStatistics = 17,

    /// <summary>The APIC is virtualized, and the vCPUs exited for interrupts of the host at least as often as this device interrupted: whether for its own, or for ticks, KVM does not count.</summary>
    UnknownCause = 18,
}
