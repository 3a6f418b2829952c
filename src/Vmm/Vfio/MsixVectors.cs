using Exitless.Linux;
using Exitless.Vmm.Interrupts;
using Exitless.Vmm.Pci;

namespace Exitless.Vmm.Vfio;

/// <summary>
/// The vectors of an assigned device. The eventfd that VFIO fires is the very one that KVM injects from, so that the kernel pairs the two and
/// the interrupt never passes through this process. A host vector is taken when the guest first opens it; a masked vector loses its irqfd only,
/// and the eventfd's counter is then its pending bit.
/// </summary>
internal sealed class MsixVectors(IVfioDevice device, IIrqfds kvm, GsiRoutes routes, int count, string address) : IMsixVectors, IDisposable
{
    private readonly EventFd?[] _triggers = new EventFd?[count];
    private readonly EventFd?[] _hostOrder = new EventFd?[count];
    private readonly int[] _gsis = new int[count];
    private readonly bool[] _assigned = new bool[count];
    private readonly bool[] _onHost = new bool[count];
    private int _hostCount;
    private bool _complained;

    /// <summary>The GSI of a vector; 0 while it has none.</summary>
    public int Gsi(int vector) => _gsis[vector];

    /// <summary>True if the vector is requested on the host.</summary>
    public bool IsOnHost(int vector) => _onHost[vector];

    public void Open(int vector, ulong address, uint data)
    {
        var trigger = _triggers[vector] ??= new EventFd();
        if (_gsis[vector] == 0)
            _gsis[vector] = routes.Allocate();
        // Route first, then irqfd: KVM binds an irqfd to the route that it finds.
        if (!routes.TryRoute(_gsis[vector], address, data))
            Complain("KVM_SET_GSI_ROUTING", vector);
        if (!_onHost[vector] && !(_onHost[vector] = TryEnableOnHost(vector)))
            Complain("VFIO_DEVICE_SET_IRQS", vector);
        if (!_assigned[vector] && !(_assigned[vector] = kvm.TryAssignIrqfd(trigger, _gsis[vector])))
            Complain("KVM_IRQFD", vector);
    }

    public void Close(int vector)
    {
        if (_assigned[vector] && _triggers[vector] is { } trigger)
            kvm.TryDeassignIrqfd(trigger, _gsis[vector]);
        _assigned[vector] = false;
    }

    public void Disable()
    {
        for (var i = 0; i < _triggers.Length; i++)
            Close(i);
        if (_hostCount > 0)
            device.DisableMsix();
        _hostCount = 0;
        Array.Clear(_onHost);
        foreach (var trigger in _triggers)
            trigger?.Take();
    }

    public bool IsPending(int vector) => !_assigned[vector] && _triggers[vector] is { IsSignalled: true };

    public void Dispose()
    {
        Disable();
        foreach (var trigger in _triggers)
            trigger?.Dispose();
    }

    private bool TryEnableOnHost(int vector)
    {
        if (device.MsixGrows || vector < _hostCount)
        {
            // The first call decides how many vectors the kernel takes at once: let it be one, and add the wanted one to it.
            if (_hostCount == 0 && vector > 0 && !device.TrySetMsix(0, _hostOrder.AsSpan(0, 1)))
                return false;
            if (!device.TrySetMsix(vector, _triggers.AsSpan(vector, 1)))
                return false;
            _hostCount = Math.Max(_hostCount, vector + 1);
            return true;
        }
        return TryGrow(vector);
    }

    /// <summary>A kernel that cannot add vectors to enabled MSI-X: off, and on again with more.</summary>
    private bool TryGrow(int vector)
    {
        if (_hostCount > 0)
            device.DisableMsix();
        for (var i = 0; i <= vector; i++)
            _hostOrder[i] = _onHost[i] || i == vector ? _triggers[i] : null;
        var done = device.TrySetMsix(0, _hostOrder.AsSpan(0, vector + 1));
        Array.Clear(_hostOrder);
        if (!done)
            return false;
        _hostCount = vector + 1;
        // What fired while MSI-X was off is lost. A spurious interrupt does no harm, a lost one may stop a queue for ever.
        for (var i = 0; i < vector; i++)
        {
            if (_onHost[i])
                _triggers[i]?.Signal();
        }
        return true;
    }

    private void Complain(string call, int vector)
    {
        var failure = new LinuxException(call, Ioctl.LastError);
        if (_complained)
            return;
        // Once for each device: the guest can make this happen as often as it likes.
        _complained = true;
        VmmLog.Write($"MSI-X vector {vector} of {address} does not work: {failure.Message}");
    }
}
