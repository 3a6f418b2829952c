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
