using Exitless.Linux;
using Exitless.Linux.Vfio;
using Exitless.Vmm.Interrupts;
using Exitless.Vmm.Pci;

namespace Exitless.Vmm.Vfio;

/// <summary>
/// The MSI-X vectors of an assigned device. A host vector is taken when the guest first opens it. A masked vector loses its irqfd only, and the eventfd's
/// counter is then its pending bit; but not at once: the mask is a posted write, which on hardware takes effect no later than the guest's next read from the device. A
/// guest that masks, changes the message and unmasks without a read in between has moved the interrupt to another CPU, and that costs one new route and no irqfd.
/// </summary>
internal sealed class MsixVectors : IMsixVectors, IDisposable
{
    private readonly IVfioDevice _device;
    private readonly IIrqfds _kvm;
    private readonly GsiRoutes _routes;
    private readonly Action<string> _complain;
    private readonly Action _deferred;
    private readonly VectorPath?[] _paths;
    private readonly EventFd?[] _hostOrder;
    private readonly bool[] _onHost;
    private readonly bool[] _closing;
    private int _hostCount;
    private int _closingCount;
    private int _error;
    private int _available;

    /// <param name="device">The device.</param>
    /// <param name="kvm">KVM's irqfds.</param>
    /// <param name="routes">KVM's routes.</param>
    /// <param name="count">Entries of the table.</param>
    /// <param name="complain">Takes what does not work, in words; once for each device.</param>
    /// <param name="deferred">Called when a mask begins to wait for <see cref="Settle"/>.</param>
    public MsixVectors(IVfioDevice device, IIrqfds kvm, GsiRoutes routes, int count, Action<string> complain, Action deferred)
    {
        _device = device;
        _kvm = kvm;
        _routes = routes;
        _complain = complain;
        _deferred = deferred;
        _paths = new VectorPath?[count];
        _hostOrder = new EventFd?[count];
        _onHost = new bool[count];
        _closing = new bool[count];
        Refusals = new VectorRefusals(count);
    }

    /// <summary>What the guest opened in vain.</summary>
    public VectorRefusals Refusals { get; }

    /// <summary>How many vectors are requested on the host.</summary>
    public int OnHost { get; private set; }

    /// <summary>The GSI of a vector; 0 while it has none.</summary>
    public int Gsi(int vector) => _paths[vector]?.Gsi ?? 0;

    /// <summary>True if the vector is requested on the host.</summary>
    public bool IsOnHost(int vector) => _onHost[vector];

    /// <summary>The device enters MSI-X too, with one host vector and no eventfd: from here on the hardware keeps what vectors fire that are still to come.</summary>
    public void Enable()
    {
        if (_hostCount == 0 && TrySet(0, _hostOrder.AsSpan(0, 1)))
            _hostCount = 1;
    }

    public void Open(int vector, ulong address, uint data)
    {
        if (_closing[vector])
        {
            _closing[vector] = false;
            _closingCount--;
        }
        var limit = VectorLimit.Host;
        if ((_paths[vector] ??= VectorPath.TryMake(_kvm, _routes, out limit)) is not { } path)
        {
            Refuse(vector, limit);
            return;
        }
        // Route first, then irqfd: KVM binds an irqfd to the route that it finds. Without the route that the guest wants, no irqfd either.
        if (!_routes.TryRoute(path.Gsi, address, data))
        {
            _error = Ioctl.LastError;
            path.Deassign();
            Refuse(vector, VectorLimit.Message);
        }
        else if (!_onHost[vector] && !TryEnableOnHost(vector))
        {
            Refuse(vector, VectorLimit.Host);
        }
        else if (path.TryAssign())
        {
            Refusals.Remove(vector);
        }
        else
        {
            _error = Ioctl.LastError;
            Refuse(vector, VectorLimit.Irqfd);
        }
    }

    public void Close(int vector)
    {
        Refusals.Remove(vector);
        if (_closing[vector] || _paths[vector] is not { IsAssigned: true })
            return;
        _closing[vector] = true;
        if (_closingCount++ == 0)
            _deferred();
    }

    /// <summary>Carries out the masks that wait. Allocates nothing.</summary>
    public void Settle()
    {
        for (var i = 0; _closingCount > 0 && i < _closing.Length; i++)
        {
            if (!_closing[i])
                continue;
            _closing[i] = false;
            _closingCount--;
            _paths[i]?.Deassign();
        }
    }

    public void Disable()
    {
        Settle();
        foreach (var path in _paths)
            path?.Deassign();
        if (_hostCount > 0)
            _device.Disable(VfioInterrupt.Msix);
        Forget();
        VectorPath.Release(_paths, _routes);
        Refusals.Clear();
    }

    public bool IsPending(int vector) => _paths[vector] is { IsPending: true };

    public void Dispose() => Disable();

    private bool TryEnableOnHost(int vector)
    {
        var added = !_device.MsixGrows && vector >= _hostCount ? TryGrow(vector) : TryAdd(vector);
        if (added && !_onHost[vector])
        {
            _onHost[vector] = true;
            OnHost++;
        }
        return added;
    }

    private bool TryAdd(int vector)
    {
        // The first call decides how many vectors the kernel takes at once: let it be one, and add the wanted one to it.
        Enable();
        _hostOrder[vector] = _paths[vector]!.Trigger;
        var added = _hostCount > 0 && TrySet(vector, _hostOrder.AsSpan(vector, 1));
        _hostOrder[vector] = null;
        if (added)
            _hostCount = Math.Max(_hostCount, vector + 1);
        return added;
    }

    /// <summary>A kernel that cannot add vectors to enabled MSI-X: off, and on again with more.</summary>
    private bool TryGrow(int vector)
    {
        if (_hostCount > 0)
            _device.Disable(VfioInterrupt.Msix);
        _onHost[vector] = true;
        var grown = TryRenew(vector + 1);
        _onHost[vector] = false;
        if (grown)
            _hostCount = vector + 1;
        else if (_hostCount > 0 && !TryRenew(_hostCount))
            Forget();
        // What fired while MSI-X was off is lost. A spurious interrupt does no harm, a lost one may stop a queue for ever.
        for (var i = 0; i < _hostCount; i++)
        {
            if (i != vector && _onHost[i])
                _paths[i]?.Trigger.Signal();
        }
        return grown;
    }

    private bool TryRenew(int count)
    {
        for (var i = 0; i < count; i++)
            _hostOrder[i] = _onHost[i] ? _paths[i]?.Trigger : null;
        var done = TrySet(0, _hostOrder.AsSpan(0, count));
        Array.Clear(_hostOrder);
        return done;
    }

    private bool TrySet(int first, ReadOnlySpan<EventFd?> triggers)
    {
        var result = _device.TrySetTriggers(VfioInterrupt.Msix, first, triggers);
        if (result != 0)
            (_error, _available) = (result < 0 ? Ioctl.LastError : 0, Math.Max(result, 0));
        return result == 0;
    }

    private void Refuse(int vector, VectorLimit limit)
    {
        if (Refusals.Add(vector, limit, _error, _available, OnHost))
            _complain($"MSI-X vector {vector} does not work: {Refusals.Reason}.");
    }

    /// <summary>The host has no vector of this device any more: each starts anew when the guest next unmasks it.</summary>
    private void Forget()
    {
        foreach (var path in _paths)
            path?.Deassign();
        Array.Clear(_onHost);
        OnHost = 0;
        _hostCount = 0;
    }
}
