using Exitless.Linux;
using Exitless.Vmm.Interrupts;
using Exitless.Vmm.Pci;

namespace Exitless.Vmm.Vfio;

/// <summary>
/// The vectors of an assigned device. The eventfd that VFIO fires is the very one that KVM injects from, so that the kernel pairs the two and
/// the interrupt never passes through this process. A host vector is taken when the guest first opens it; a masked vector loses its irqfd only,
/// and the eventfd's counter is then its pending bit.
/// </summary>
internal sealed class MsixVectors(IVfioDevice device, IIrqfds kvm, GsiRoutes routes, int count, string address, Action<string> log) : IMsixVectors, IDisposable
{
    private const string SetIrqs = "VFIO_DEVICE_SET_IRQS";

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

    /// <summary>The device enters MSI-X too, with one host vector and no eventfd: from here on the hardware keeps what vectors fire that are still to come.</summary>
    public void Enable()
    {
        if (_hostCount == 0 && Check(device.TrySetMsix(0, _hostOrder.AsSpan(0, 1)), SetIrqs, 0))
            _hostCount = 1;
    }

    public void Open(int vector, ulong address, uint data)
    {
        if (TryMake(vector) is not { } trigger)
            return;
        // Route first, then irqfd: KVM binds an irqfd to the route that it finds. Without the route that the guest wants, no irqfd either.
        if (!Check(routes.TryRoute(_gsis[vector], address, data), "KVM_SET_GSI_ROUTING", vector))
            Close(vector);
        else if ((_onHost[vector] || (_onHost[vector] = TryEnableOnHost(vector))) && !_assigned[vector])
            _assigned[vector] = Check(kvm.TryAssignIrqfd(trigger, _gsis[vector]), "KVM_IRQFD", vector);
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

    /// <summary>Gives a vector its eventfd and its GSI, for the device's life; null if there is no descriptor left.</summary>
    private EventFd? TryMake(int vector)
    {
        if (_triggers[vector] is { } made)
            return made;
        try
        {
            var trigger = new EventFd();
            _gsis[vector] = routes.Allocate();
            return _triggers[vector] = trigger;
        }
        catch (LinuxException failure)
        {
            Complain(failure, vector);
            return null;
        }
    }

    private bool TryEnableOnHost(int vector)
    {
        if (!device.MsixGrows && vector >= _hostCount)
            return TryGrow(vector);
        // The first call decides how many vectors the kernel takes at once: let it be one, and add the wanted one to it.
        Enable();
        if (_hostCount == 0 || !Check(device.TrySetMsix(vector, _triggers.AsSpan(vector, 1)), SetIrqs, vector))
            return false;
        _hostCount = Math.Max(_hostCount, vector + 1);
        return true;
    }

    /// <summary>A kernel that cannot add vectors to enabled MSI-X: off, and on again with more.</summary>
    private bool TryGrow(int vector)
    {
        if (_hostCount > 0)
            device.DisableMsix();
        _onHost[vector] = true;
        var grown = TryRenew(vector, vector + 1);
        _onHost[vector] = grown;
        if (grown)
            _hostCount = vector + 1;
        else if (_hostCount > 0 && !TryRenew(vector, _hostCount))
            Forget();
        // What fired while MSI-X was off is lost. A spurious interrupt does no harm, a lost one may stop a queue for ever.
        for (var i = 0; i < _hostCount; i++)
        {
            if (i != vector && _onHost[i])
                _triggers[i]?.Signal();
        }
        return grown;
    }

    private bool TryRenew(int vector, int count)
    {
        for (var i = 0; i < count; i++)
            _hostOrder[i] = _onHost[i] ? _triggers[i] : null;
        var done = Check(device.TrySetMsix(0, _hostOrder.AsSpan(0, count)), SetIrqs, vector);
        Array.Clear(_hostOrder);
        return done;
    }

    /// <summary>The host gave nothing back: each vector starts anew when the guest next unmasks it.</summary>
    private void Forget()
    {
        for (var i = 0; i < _triggers.Length; i++)
            Close(i);
        Array.Clear(_onHost);
        _hostCount = 0;
    }

    private bool Check(bool done, string call, int vector)
    {
        if (!done && !_complained)
            Complain(new LinuxException(call, Ioctl.LastError), vector);
        return done;
    }

    private void Complain(LinuxException failure, int vector)
    {
        if (_complained)
            return;
        // Once for each device: the guest can make this happen as often as it likes.
        _complained = true;
        log($"MSI-X vector {vector} of {address} does not work: {failure.Message}");
    }
}
