using Exitless.Linux;

namespace Exitless.Vmm.Interrupts;

/// <summary>Eventfds that the guest signals by a write to memory, inside the kernel (KVM_IOEVENTFD).</summary>
internal interface IIoEventFds
{
    /// <summary>From now on a write of any size to this guest-physical address signals the eventfd and is done with.</summary>
    bool TryAssignIoEventFd(EventFd notice, ulong address);

    /// <summary>From now on such a write leaves the guest again.</summary>
    void DeassignIoEventFd(EventFd notice, ulong address);
}
