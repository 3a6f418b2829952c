using Exitless.Linux;
using Exitless.Linux.Vfio;
using Exitless.Vmm.Interrupts;

namespace Exitless.Vmm.Vfio;

/// <summary>
/// The level-triggered pin of an assigned device, without an exit: VFIO masks the pin at the host and fires one eventfd, KVM raises the IOAPIC's pin; when the guest
/// ends the interrupt, KVM lowers it and signals the other eventfd, which opens the pin at the host again. That needs the IOAPIC in the kernel.
/// </summary>
internal sealed class IntxLine(IVfioDevice device, ILevelIrqfds kvm, int gsi, Action<string> complain) : IDisposable
{
    private EventFd? _trigger;
    private EventFd? _ended;
    private bool _complained;

    /// <summary>The pin of the IOAPIC.</summary>
    public int Gsi => gsi;

    public bool IsEnabled => _trigger is not null;

    public void Enable()
    {
        if (IsEnabled)
            return;
        EventFd? trigger = null, ended = null;
        try
        {
            trigger = new EventFd();
            ended = new EventFd();
            // From the guest's end to the device's: no signal finds nobody. What the guest ends before VFIO listens stays in the eventfd, and VFIO looks when it begins to.
            if (!kvm.TryAssignLevelIrqfd(trigger, ended, gsi))
                throw new LinuxException("KVM_IRQFD with resampling", Ioctl.LastError);
            if (device.TrySetTriggers(VfioInterrupt.Intx, 0, [trigger]) != 0)
            {
                var error = Ioctl.LastError;
                kvm.TryDeassignIrqfd(trigger, gsi);
                throw new LinuxException("VFIO_DEVICE_SET_IRQS", error);
            }
            if (!device.TrySetUnmask(ended))
            {
                var error = Ioctl.LastError;
                device.Disable(VfioInterrupt.Intx);
                kvm.TryDeassignIrqfd(trigger, gsi);
                throw new LinuxException("VFIO_DEVICE_SET_IRQS to unmask", error);
            }
            (_trigger, _ended) = (trigger, ended);
        }
        catch (LinuxException failure)
        {
            trigger?.Dispose();
            ended?.Dispose();
            if (!_complained)
                complain($"INTx does not work: {failure.Message}.");
            _complained = true;
        }
    }

    public void Disable()
    {
        if (_trigger is not { } trigger)
            return;
        device.Disable(VfioInterrupt.Intx);
        kvm.TryDeassignIrqfd(trigger, gsi);
        trigger.Dispose();
        _ended?.Dispose();
        (_trigger, _ended) = (null, null);
    }

    public void Dispose() => Disable();
}
