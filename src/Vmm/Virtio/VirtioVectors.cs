using Exitless.Linux;
using Exitless.Vmm.Interrupts;
using Exitless.Vmm.Pci;

namespace Exitless.Vmm.Virtio;

/// <summary>
/// The MSI-X vectors of a paravirtual device: an eventfd each, from which KVM injects while the vector is open. What is signalled while it is
/// masked stays in the eventfd's counter, which is the pending bit.
/// </summary>
internal sealed class VirtioVectors : IMsixVectors, IDisposable
{
    private readonly IIrqfds _kvm;
    private readonly GsiRoutes _routes;
    private readonly EventFd[] _triggers;
    private readonly int[] _gsis;
    private readonly bool[] _assigned;
    private volatile bool _enabled;

    public VirtioVectors(IIrqfds kvm, GsiRoutes routes, int count)
    {
        (_kvm, _routes) = (kvm, routes);
        _triggers = new EventFd[count];
        _gsis = new int[count];
        _assigned = new bool[count];
        var made = 0;
        try
        {
            for (; made < count; made++)
            {
                _triggers[made] = new EventFd();
                _gsis[made] = routes.Allocate();
            }
        }
        catch
        {
            foreach (var trigger in _triggers.AsSpan(0, made))
                trigger.Dispose();
            throw;
        }
    }

    public int Count => _triggers.Length;

    /// <summary>True while the guest has MSI-X switched on.</summary>
    public bool Enabled => _enabled;

    /// <summary>Fires a vector. May be called from any thread; allocates nothing.</summary>
    public void Signal(int vector)
    {
        if ((uint)vector < (uint)_triggers.Length)
            _triggers[vector].Signal();
    }

    public void Enable()
    {
        foreach (var trigger in _triggers)
            trigger.Take();
        _enabled = true;
    }

    public void Open(int vector, ulong address, uint data)
    {
        // Route first, then irqfd: KVM binds an irqfd to the route that it finds. Without the route that the guest wants, no irqfd either.
        if (!_routes.TryRoute(_gsis[vector], address, data))
            Close(vector);
        else if (!_assigned[vector])
            _assigned[vector] = _kvm.TryAssignIrqfd(_triggers[vector], _gsis[vector]);
    }

    public void Close(int vector)
    {
        if (_assigned[vector])
            _kvm.TryDeassignIrqfd(_triggers[vector], _gsis[vector]);
        _assigned[vector] = false;
    }

    public void Disable()
    {
        _enabled = false;
        for (var i = 0; i < _triggers.Length; i++)
        {
            Close(i);
            _triggers[i].Take();
        }
    }

    public bool IsPending(int vector) => !_assigned[vector] && _triggers[vector].IsSignalled;

    public void Dispose()
    {
        Disable();
        foreach (var trigger in _triggers)
            trigger.Dispose();
    }
}
