using Exitless.Linux;

namespace Exitless.Vmm.Interrupts;

/// <summary>Eventfds that inject interrupts (KVM_IRQFD).</summary>
internal interface IIrqfds
{
    /// <summary>From now on each signal of the eventfd raises the GSI, inside the kernel. One that is signalled already raises it at once.</summary>
    bool TryAssignIrqfd(EventFd trigger, int gsi);

    /// <summary>From now on signals stay in the eventfd's counter.</summary>
    bool TryDeassignIrqfd(EventFd trigger, int gsi);
}

/// <summary>Eventfds that drive level-triggered pins of an IOAPIC inside the kernel.</summary>
internal interface ILevelIrqfds
{
    /// <summary>
    /// From now on a signal of the eventfd holds the pin until the guest ends the interrupt; then the kernel lets go and signals <paramref name="resample"/>
    /// (KVM_IRQFD_FLAG_RESAMPLE).
    /// </summary>
    bool TryAssignLevelIrqfd(EventFd trigger, EventFd resample, int gsi);

    bool TryDeassignIrqfd(EventFd trigger, int gsi);
}
