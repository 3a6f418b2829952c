using Exitless.Linux;
using Exitless.Vmm.Control;
using Exitless.Vmm.Pci;

namespace Exitless.Vmm.Vfio;

/// <summary>
/// Looks after the assigned devices on a thread of its own, since closing one takes the time of a reset: what the guest gives back, what the host wants back (the guest
/// is asked first, and has until a limit), errors, and masks that have waited long enough.
/// </summary>
internal sealed class DeviceWatch : IDisposable
{
    /// <summary>How long a guest has to give back what the host wants. VFIO asks every ten seconds, and whoever unbinds the driver waits.</summary>
    public static readonly TimeSpan ReturnLimit = TimeSpan.FromSeconds(30);

    // A guest that relies on its mask reads from the device, and then it has been carried out already. This is for one that never does.
    private static readonly TimeSpan MaskLimit = TimeSpan.FromMilliseconds(10);

    private readonly DeviceSet _set;
    private readonly HotplugController _hotplug;
    private readonly DeviceBell _bell;
    private readonly Action<string, DeviceChange, string> _report;
    private readonly TimeProvider _time;
    private readonly Epoll _epoll = new();
    private readonly Lock _gate = new();
    private readonly Dictionary<ulong, (DeviceSlot Slot, SlotDevice Device, bool IsRequest)> _watched = [];
    private readonly List<Return> _returns = [];
    private readonly Thread _thread;
    private long? _maskedSince;
    private ulong _lastTag;
    private bool _stopped;

    public DeviceWatch(DeviceSet set, HotplugController hotplug, DeviceBell bell, Action<string, DeviceChange, string> report, TimeProvider time)
    {
        _set = set;
        _hotplug = hotplug;
        _bell = bell;
        _report = report;
        _time = time;
        _epoll.Add(bell.Wake.Handle, EpollEvents.Readable, 0);
        _thread = new Thread(Run) { IsBackground = true, Name = "devices" };
        _thread.Start();
    }

    /// <summary>Listens to the devices of a slot.</summary>
    public void Add(DeviceSlot slot)
    {
        lock (_gate)
        {
            foreach (var device in slot.Devices)
            {
                Listen(device.Requested, (slot, device, true));
                Listen(device.Failed, (slot, device, false));
            }
        }
    }

    /// <summary>Asks the guest for a slot's devices, and takes them away if it does not give them back in time.</summary>
    /// <param name="slot">Which.</param>
    /// <param name="limit">How long it has; zero takes them away at once.</param>
    /// <param name="done">Called when they are released, on any thread; null for nobody.</param>
    public void AskBack(DeviceSlot slot, TimeSpan limit, Action? done)
    {
        var known = false;
        lock (_gate)
        {
            var pending = _returns.Find(r => r.Slot == slot);
            known = pending is not null;
            if (pending is null)
                _returns.Add(pending = new Return(slot, _time.GetTimestamp(), limit));
            else if (limit < pending.Limit - _time.GetElapsedTime(pending.Since))
                (pending.Since, pending.Limit) = (_time.GetTimestamp(), limit);
            if (done is not null)
                pending.Done.Add(done);
        }
        if (limit > TimeSpan.Zero)
        {
            _hotplug.AskBack(slot.Number);
            if (!known)
                Tell(slot, DeviceChange.EjectAsked, $"The guest has {limit.TotalSeconds:0.#} s to give it back.");
        }
        _bell.Wake.Signal();
    }

    public void Dispose()
    {
        Volatile.Write(ref _stopped, true);
        _bell.Wake.Signal();
        _thread.Join();
        _epoll.Dispose();
        List<Return> left;
        lock (_gate)
        {
            left = [.. _returns];
            _returns.Clear();
        }
        // Whoever waits for a device waits no longer: the machine releases all of them now.
        foreach (var done in left.SelectMany(r => r.Done))
            done();
    }

    private void Run()
    {
        Span<EpollEvent> reports = stackalloc EpollEvent[16];
        while (!Volatile.Read(ref _stopped))
        {
            var count = _epoll.Wait(reports, NextLimit());
            foreach (ref readonly var report in reports[..count])
                Handle(report.Tag);
            ReleaseEjected();
            ReleaseOverdue();
            if (_maskedSince is { } since && _time.GetElapsedTime(since) >= MaskLimit)
            {
                _maskedSince = null;
                _set.Settle();
            }
        }
    }

    private void Handle(ulong tag)
    {
        if (tag == 0)
        {
            _bell.Wake.Take();
            if (_bell.TakeDeferred())
                _maskedSince ??= _time.GetTimestamp();
            return;
        }
        (DeviceSlot Slot, SlotDevice Device, bool IsRequest) watched;
        lock (_gate)
        {
            if (!_watched.TryGetValue(tag, out watched))
                return;
        }
        var address = watched.Device.Config.Address;
        if (watched.IsRequest)
        {
            // It comes again and again until the device is closed.
            if (watched.Device.Requested!.Take() > 0 && !IsAskedBack(watched.Slot))
                _report(address, DeviceChange.HostWantsIt, "Its driver on the host is being unbound, or its PF takes its VFs away.");
        }
        else if (watched.Device.Failed!.Take() > 0)
        {
            _report(address, DeviceChange.Error, "PCI Express reported an error that the device does not recover from (AER). Its state is lost.");
        }
        AskBack(watched.Slot, ReturnLimit, null);
    }

    private bool IsAskedBack(DeviceSlot slot)
    {
        lock (_gate)
            return _returns.Exists(r => r.Slot == slot);
    }

    private void ReleaseEjected()
    {
        var slots = _bell.TakeEjected();
        for (var number = 1; number < PciBus.Slots; number++)
        {
            if ((slots & 1u << number) != 0 && _set.Find(number) is { } slot)
                Release(slot, DeviceChange.Ejected, "The guest gave it back.");
        }
    }

    private void ReleaseOverdue()
    {
        Return[] overdue;
        lock (_gate)
            overdue = [.. _returns.Where(r => _time.GetElapsedTime(r.Since) >= r.Limit)];
        foreach (var one in overdue)
            Release(one.Slot, DeviceChange.Forced, one.Limit > TimeSpan.Zero ? $"The guest did not give it back within {one.Limit.TotalSeconds:0.#} s." : "It was to be taken away at once.");
    }

    private void Release(DeviceSlot slot, DeviceChange change, string text)
    {
        List<Action> done;
        lock (_gate)
        {
            // The kernel takes closed descriptors out of epoll by itself; their tags go here.
            foreach (var tag in _watched.Where(w => w.Value.Slot == slot).Select(w => w.Key).ToList())
                _watched.Remove(tag);
            done = [.. _returns.Where(r => r.Slot == slot).SelectMany(r => r.Done)];
            _returns.RemoveAll(r => r.Slot == slot);
        }
        if (_set.Release(slot))
        {
            _hotplug.Forget(slot.Number);
            Tell(slot, change, text);
            // Coming and going leaves some hundred KiB of garbage a time, in a process that otherwise makes none and so never collects. The guest runs on meanwhile.
            GC.Collect();
        }
        foreach (var one in done)
            one();
    }

    private void Tell(DeviceSlot slot, DeviceChange change, string text)
    {
        foreach (var device in slot.Devices)
            _report(device.Config.Address, change, text);
    }

    private void Listen(EventFd? eventFd, (DeviceSlot Slot, SlotDevice Device, bool IsRequest) what)
    {
        if (eventFd is null)
            return;
        _watched.Add(++_lastTag, what);
        _epoll.Add(eventFd.Handle, EpollEvents.Readable, _lastTag);
    }

    private int NextLimit()
    {
        var limit = TimeSpan.MaxValue;
        if (_maskedSince is { } masked)
            limit = MaskLimit - _time.GetElapsedTime(masked);
        lock (_gate)
        {
            foreach (var one in _returns)
            {
                var left = one.Limit - _time.GetElapsedTime(one.Since);
                if (left < limit)
                    limit = left;
            }
        }
        return limit == TimeSpan.MaxValue ? -1 : (int)Math.Clamp(Math.Ceiling(limit.TotalMilliseconds), 0, int.MaxValue);
    }

    private sealed class Return(DeviceSlot slot, long since, TimeSpan limit)
    {
        public DeviceSlot Slot => slot;

        public long Since { get; set; } = since;

        public TimeSpan Limit { get; set; } = limit;

        public List<Action> Done { get; } = [];
    }
}
