using Exitless.Linux;

namespace Exitless.Vmm.Interrupts;

/// <summary>
/// Devices' irqfds, with a way around posting. KVM and VFIO pair an interrupt when both know it by the same eventfd, and it is then posted where the host can. A detoured
/// interrupt has two: VFIO signals the one, a thread here passes it on to the other, and KVM injects from that. The switch can be thrown while interrupts come: what arrives
/// meanwhile stays in an eventfd's counter, and is injected by the path that follows. A VM that has its interrupts directly, by ELI, needs no way around while all of them are to be
/// injected: KVM suspends direct mode for it, and injects as ever.
/// </summary>
/// <param name="kvm">KVM's irqfds.</param>
/// <param name="all">True: whatever is assigned from now on is detoured.</param>
/// <param name="suspend">Suspends direct mode (true), or takes it up again; null: the VM has none.</param>
internal sealed class InterruptDetour(IIrqfds kvm, bool all = false, Action<bool>? suspend = null) : IIrqfds, IDisposable
{
    private const ulong Stop = ulong.MaxValue;
    private readonly Lock _gate = new();
    private readonly Dictionary<int, Path> _paths = [];
    private readonly HashSet<int> _detoured = [];
    private bool _all = all;
    private bool _suspended;
    private Relay? _relay;

    public bool TryAssignIrqfd(EventFd trigger, int gsi)
    {
        lock (_gate)
            return TryJoin(trigger, gsi, _all || _detoured.Contains(gsi));
    }

    public bool TryDeassignIrqfd(EventFd trigger, int gsi)
    {
        lock (_gate)
            return TryLeave(gsi);
    }

    /// <summary>True if the interrupt is injected by the switch, or would be if it were assigned.</summary>
    public bool IsInjected(int gsi)
    {
        lock (_gate)
            return _suspended || _all || _detoured.Contains(gsi);
    }

    /// <summary>Throws the switch for all interrupts, those to come among them.</summary>
    /// <returns>False if KVM refused an irqfd; that interrupt is then as it was.</returns>
    public bool TrySwitchAll(bool detour)
    {
        lock (_gate)
        {
            Suspend(detour && suspend is not null);
            detour &= !_suspended;
            _all = detour;
            _detoured.Clear();
            var done = true;
            foreach (var gsi in _paths.Keys.ToArray())
                done &= TryMove(gsi, detour);
            return done;
        }
    }

    /// <summary>Throws the switch for one interrupt.</summary>
    /// <returns>False if KVM refused the irqfd; the interrupt is then as it was.</returns>
    public bool TrySwitch(int gsi, bool detour)
    {
        lock (_gate)
        {
            if (_suspended && !detour)
            {
                // The others have to be told apart from this one, so they take the way around.
                _all = true;
                var moved = true;
                foreach (var other in _paths.Keys.ToArray())
                    moved &= TryMove(other, true);
                Suspend(false);
                if (!moved)
                    return false;
            }
            if (_all != detour)
            {
                // From here on each interrupt has its own setting.
                if (_all)
                    _detoured.UnionWith(_paths.Keys);
                _all = false;
            }
            if (detour && !_all)
                _detoured.Add(gsi);
            else if (!detour)
                _detoured.Remove(gsi);
            return TryMove(gsi, detour);
        }
    }

    public void Dispose()
    {
        Relay? relay;
        lock (_gate)
        {
            foreach (var gsi in _paths.Keys.ToArray())
                TryLeave(gsi);
            (relay, _relay) = (_relay, null);
        }
        relay?.Dispose();
    }

    private void Suspend(bool direct)
    {
        if (_suspended == direct)
            return;
        suspend!(direct);
        _suspended = direct;
    }

    private bool TryMove(int gsi, bool detour)
    {
        if (!_paths.TryGetValue(gsi, out var path) || path.Injection is not null == detour)
            return true;
        TryLeave(gsi);
        if (TryJoin(path.Trigger, gsi, detour))
            return true;
        TryJoin(path.Trigger, gsi, !detour);
        return false;
    }

    private bool TryJoin(EventFd trigger, int gsi, bool detour)
    {
        if (!detour)
        {
            if (!kvm.TryAssignIrqfd(trigger, gsi))
                return false;
            _paths[gsi] = new Path(trigger, null);
            return true;
        }
        var injection = new EventFd();
        if (!kvm.TryAssignIrqfd(injection, gsi))
        {
            injection.Dispose();
            return false;
        }
        _paths[gsi] = new Path(trigger, injection);
        _relay ??= new Relay(this);
        _relay.Add(trigger, gsi);
        return true;
    }

    private bool TryLeave(int gsi)
    {
        if (!_paths.Remove(gsi, out var path))
            return true;
        if (path.Injection is not { } injection)
            return kvm.TryDeassignIrqfd(path.Trigger, gsi);
        _relay!.Remove(path.Trigger);
        var left = kvm.TryDeassignIrqfd(injection, gsi);
        // What was passed on and not injected goes back to where the next path finds it.
        if (injection.Take() > 0)
            path.Trigger.Signal();
        injection.Dispose();
        return left;
    }

    private void PassOn(int gsi)
    {
        lock (_gate)
        {
            if (_paths.TryGetValue(gsi, out var path) && path.Injection is { } injection && path.Trigger.Take() > 0)
                injection.Signal();
        }
    }

    /// <param name="Trigger">What VFIO signals.</param>
    /// <param name="Injection">What KVM injects from; null: the trigger itself.</param>
    private readonly record struct Path(EventFd Trigger, EventFd? Injection);

    /// <summary>The thread that passes interrupts on. It allocates nothing.</summary>
    private sealed class Relay : IDisposable
    {
        private readonly InterruptDetour _detour;
        private readonly Epoll _epoll = new();
        private readonly EventFd _stop = new();
        private readonly Thread _thread;

        public Relay(InterruptDetour detour)
        {
            _detour = detour;
            _epoll.Add(_stop.Handle, EpollEvents.Readable, Stop);
            _thread = new Thread(Run) { IsBackground = true, Name = "interrupts" };
            _thread.Start();
        }

        public void Add(EventFd trigger, int gsi) => _epoll.Add(trigger.Handle, EpollEvents.Readable, (ulong)gsi);

        public void Remove(EventFd trigger) => _epoll.Remove(trigger.Handle);

        public void Dispose()
        {
            _stop.Signal();
            _thread.Join();
            _epoll.Dispose();
            _stop.Dispose();
        }

        private void Run()
        {
            Span<EpollEvent> reports = stackalloc EpollEvent[32];
            while (true)
            {
                var count = _epoll.Wait(reports, -1);
                for (var i = 0; i < count; i++)
                {
                    if (reports[i].Tag == Stop)
                        return;
                    _detour.PassOn((int)reports[i].Tag);
                }
            }
        }
    }
}
