using Exitless.Linux;

namespace Exitless.Vmm.Virtio;

/// <summary>
/// A paravirtual device: what it offers, its queues, and what it does with them. A worker thread serves it; the driver's resets come from vCPU
/// threads and wait for the request in hand. Guest input never throws and allocates nothing for each request.
/// </summary>
internal abstract class VirtioDevice : IDisposable
{
    private const ulong IndirectDescriptors = 1UL << 28, EventIndex = 1UL << 29, Version1 = 1UL << 32;

    private readonly Lock _work = new();
    private readonly EventFd[] _notices;
    private VirtioInterrupts? _interrupts;
    private volatile bool _needsReset;
    private volatile bool _running;

    /// <param name="name">For people and logs: <c>disk root</c>.</param>
    /// <param name="type">The device id of virtio 1.2, section 5.</param>
    /// <param name="classCode">PCI class, subclass and interface.</param>
    /// <param name="features">The feature bits of the device's own kind.</param>
    /// <param name="queues">How many queues it has.</param>
    protected VirtioDevice(string name, ushort type, uint classCode, ulong features, int queues)
    {
        (Name, Type, ClassCode) = (name, type, classCode);
        Offered = features | IndirectDescriptors | EventIndex | Version1;
        Queues = [.. Enumerable.Range(0, queues).Select(_ => new SplitQueue())];
        _notices = [.. Enumerable.Range(0, queues).Select(_ => new EventFd())];
    }

    public string Name { get; }

    public ushort Type { get; }

    public uint ClassCode { get; }

    /// <summary>The feature bits that the driver may choose from.</summary>
    public ulong Offered { get; }

    /// <summary>Those that it has chosen; valid while the device runs.</summary>
    public ulong Features { get; private set; }

    public SplitQueue[] Queues { get; }

    /// <summary>Signalled when the driver notifies a queue, by KVM itself.</summary>
    public ReadOnlySpan<EventFd> Notices => _notices;

    /// <summary>DEVICE_NEEDS_RESET: the driver has broken a rule, and nothing is served until it resets the device.</summary>
    public bool NeedsReset => _needsReset;

    /// <summary>Bytes of the device's own configuration.</summary>
    public virtual int ConfigurationBytes => 0;

    /// <summary>How long the worker may wait before it calls <see cref="TimePassed"/>, in milliseconds; -1 for ever.</summary>
    public virtual int WaitMilliseconds => -1;

    protected bool Running => _running;

    protected VirtioInterrupts Interrupts => _interrupts ?? throw new InvalidOperationException($"{Name} is on no bus.");

    /// <summary>Puts the device on a bus.</summary>
    public void Attach(VirtioInterrupts interrupts) => _interrupts = interrupts;

    /// <summary>One byte of the device's configuration. Called from vCPU threads.</summary>
    public virtual byte ReadConfiguration(int offset) => 0;

    /// <summary>Registers what the worker shall wait for besides the queues, by tags from <see cref="VirtioWorker.FirstTag"/> on.</summary>
    public virtual void Listen(Epoll epoll)
    {
    }

    /// <summary>The driver is ready (DRIVER_OK).</summary>
    public void Start(GuestRam ram, ulong features, ReadOnlySpan<QueueSetup> setups)
    {
        lock (_work)
        {
            Features = features;
            for (var i = 0; i < Queues.Length; i++)
            {
                var used = setups[i].Size != 0;
                if (used && !Queues[i].TryStart(ram, setups[i], (features & EventIndex) != 0, (features & IndirectDescriptors) != 0))
                {
                    Fail();
                    return;
                }
            }
            _running = true;
            Started();
        }
        // What the driver has put there before it was ready.
        foreach (var notice in _notices)
            notice.Signal();
    }

    /// <summary>The driver resets the device: no queue is touched any more when this returns.</summary>
    public void Reset()
    {
        _running = false;
        foreach (var queue in Queues)
            queue.Stop();
        lock (_work)
        {
            _needsReset = false;
            Features = 0;
            Stopped();
        }
    }

    /// <summary>Serves a queue, on the worker.</summary>
    public void Serve(int queue)
    {
        _notices[queue].Take();
        lock (_work)
        {
            if (_running && !_needsReset)
                Notified(queue);
            CheckQueues();
        }
    }

    /// <summary>Serves what <see cref="Listen"/> has registered, on the worker.</summary>
    public void Serve(ulong tag, EpollEvents events)
    {
        lock (_work)
        {
            Ready(tag, events);
            CheckQueues();
        }
    }

    /// <summary>Serves the clock, on the worker.</summary>
    public void ServeTime()
    {
        lock (_work)
        {
            if (_running && !_needsReset)
                TimePassed();
            CheckQueues();
        }
    }

    /// <summary>Stops the device until the driver resets it.</summary>
    public void Fail()
    {
        foreach (var queue in Queues)
            queue.Stop();
        var first = !_needsReset;
        _needsReset = true;
        if (first)
            _interrupts?.RaiseConfiguration();
    }

    public virtual void Dispose()
    {
        foreach (var queue in Queues)
            queue.Dispose();
        foreach (var notice in _notices)
            notice.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>The driver has notified a queue.</summary>
    protected virtual void Notified(int queue) => Drain(queue);

    /// <summary>Serves one request, which is in the queue's chain, and gives it back.</summary>
    /// <returns>False if it cannot be served now: it is put back, and the device drains again when it can.</returns>
    protected abstract bool Handle(int queue, SplitQueue requests);

    protected virtual void Ready(ulong tag, EpollEvents events)
    {
    }

    protected virtual void TimePassed()
    {
    }

    protected virtual void Started()
    {
    }

    protected virtual void Stopped()
    {
    }

    /// <summary>Serves what waits in a queue, but no more than one queueful, so that the others get their turn.</summary>
    protected void Drain(int index)
    {
        var requests = Queues[index];
        var left = SplitQueue.MostEntries;
        do
        {
            while (left > 0 && requests.TryTake())
            {
                left--;
                if (Handle(index, requests))
                    continue;
                requests.PutBack();
                Tell(index);
                return;
            }
        }
        while (left > 0 && requests.Rearm());
        Tell(index);
        if (left == 0)
            _notices[index].Signal();
    }

    /// <summary>Interrupts the driver if it wants that for what was given back.</summary>
    protected void Tell(int queue)
    {
        if (Queues[queue].TakeInterrupt())
            Interrupts.RaiseQueue(queue);
    }

    private void CheckQueues()
    {
        foreach (var queue in Queues)
        {
            if (queue.Broken && !_needsReset)
                Fail();
        }
    }
}
