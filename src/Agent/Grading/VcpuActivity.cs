namespace Exitless.Agent.Grading;

/// <summary>
/// What KVM counted in one second, summed over a VM's vCPUs. KVM counts per vCPU and not per vector, so what a vector is given of it is attributed
/// (Linux, arch/x86/include/asm/kvm_host.h, struct kvm_vcpu_stat).
/// </summary>
/// <param name="Exits"><c>exits</c>: every VM exit.</param>
/// <param name="InterruptExits"><c>irq_exits</c>: exits because the host's CPU was interrupted, by whatever.</param>
/// <param name="Injections"><c>irq_injections</c>: interrupts that KVM itself put in at a VM entry; none while APICv or AVIC is active.</param>
/// <param name="Wakeups"><c>halt_wakeup</c> and <c>halt_successful_poll</c>: halts that an event ended.</param>
/// <param name="HaltedNanoseconds"><c>halt_wait_ns</c> and <c>halt_poll_success_ns</c>: how long vCPUs were halted before an event ended it.</param>
/// <param name="RunningNanoseconds">CPU time of the VM's process, in guest mode and out of it.</param>
internal readonly record struct VcpuActivity(long Exits, long InterruptExits, long Injections, long Wakeups, long HaltedNanoseconds, long RunningNanoseconds)
{
    // The host's own doing: it takes a page away or moves one, or looks at the guest.
    private const int MostOfHost = 8;

    /// <summary>
    /// The guest did something: took an interrupt, or left for a reason of its own. A guest that hangs leaves for the host's interrupts alone. Nor does one that needs nothing of the host
    /// for a second: so this alone is no proof.
    /// </summary>
    public bool HasMoved => Injections > 0 || Exits - InterruptExits > MostOfHost;

    /// <summary>The vCPUs were halted at least as long as they ran.</summary>
    public bool HaltedMost => HaltedNanoseconds > 0 && HaltedNanoseconds >= RunningNanoseconds;
}
