namespace Exitless.Vmm.Virtio;

/// <summary>
/// A split virtqueue (virtio 1.2, section 2.7), the device's side. What the guest writes into its rings is checked at each use: a head outside
/// the table, an available index that runs ahead of the queue, or a chain that breaks a rule make the queue <see cref="Broken"/>, which stops
/// the device until the driver resets it. One thread at a time takes and gives.
/// </summary>
internal sealed unsafe class SplitQueue : IDisposable
{
    /// <summary>The most descriptors that a queue may have here, and the longest chain.</summary>
    public const int MostEntries = 256;

    private const ushort NoInterrupt = 1;
    private readonly DescriptorChain _chain = new(MostEntries);
    private GuestRam? _ram;
    private byte* _table, _available, _used;
    private uint _entries;
    private ushort _nextAvailable, _nextUsed, _lastSignalled;
    private bool _eventIndex, _indirect;
    private volatile bool _running;

    /// <summary>True once the guest has broken a rule of the ring, until the queue is started again.</summary>
    public bool Broken { get; private set; }

    /// <summary>The request that <see cref="TryTake"/> has taken.</summary>
    public DescriptorChain Chain => _chain;

    /// <summary>The head of the request that was taken last, by which <see cref="Give(ushort, uint)"/> names it.</summary>
    public ushort Head { get; private set; }

    /// <summary>Starts with the rings where the driver has put them.</summary>
    /// <returns>False if any of the three is not RAM or not aligned as section 2.7 asks.</returns>
    public bool TryStart(GuestRam ram, QueueSetup setup, bool eventIndex, bool indirect)
    {
        Stop();
        Broken = false;
        var entries = setup.Size;
        if (entries is 0 or > MostEntries || (entries & (entries - 1)) != 0 || setup.Table % 16 != 0 || setup.Available % 2 != 0 || setup.Used % 4 != 0)
            return false;
        _table = ram.FindWhole(setup.Table, 16UL * entries);
        // Each ring ends with the index by which events are suppressed.
        _available = ram.FindWhole(setup.Available, 6 + (2UL * entries));
        _used = ram.FindWhole(setup.Used, 6 + (8UL * entries));
        if (_table is null || _available is null || _used is null)
            return false;
        (_ram, _entries, _eventIndex, _indirect) = (ram, entries, eventIndex, indirect);
        (_nextAvailable, _nextUsed, _lastSignalled) = (0, 0, 0);
        _running = true;
        return true;
    }

    /// <summary>From now on nothing is taken. May be called from any thread; who takes may still finish with one request.</summary>
    public void Stop() => _running = false;

    /// <summary>Takes the next request into <see cref="Chain"/>.</summary>
    public bool TryTake()
    {
        if (!_running)
            return false;
        var waiting = (ushort)(Volatile.Read(ref *(ushort*)(_available + 2)) - _nextAvailable);
        if (waiting == 0)
            return false;
        if (waiting > _entries)
            return Break();
        var head = *(ushort*)(_available + 4 + (2 * (_nextAvailable & (_entries - 1))));
        if (!_chain.TryFollow(_ram!, _table, _entries, head, _indirect))
            return Break();
        Head = head;
        _nextAvailable++;
        return true;
    }

    /// <summary>Puts the request taken last back, as if it had not been taken.</summary>
    public void PutBack() => _nextAvailable--;

    /// <summary>Gives the request taken last back to the driver, with the count of bytes written into it.</summary>
    public void Give(uint written) => Give(Head, written);

    /// <summary>Gives a request back to the driver.</summary>
    public void Give(ushort head, uint written)
    {
        Place(0, head, written);
        Publish(1);
    }

    /// <summary>Fills one of the next used entries, which the driver does not see before <see cref="Publish"/>.</summary>
    public void Place(int ahead, ushort head, uint written)
    {
        var entry = _used + 4 + (8 * ((ushort)(_nextUsed + ahead) & (_entries - 1)));
        *(uint*)entry = head;
        *(uint*)(entry + 4) = written;
    }

    /// <summary>Shows the driver used entries that were placed.</summary>
    public void Publish(int count)
    {
        _nextUsed += (ushort)count;
        Volatile.Write(ref *(ushort*)(_used + 2), _nextUsed);
    }

    /// <summary>True if the driver wants an interrupt for what was given since this was asked last (2.7.7, 2.7.10).</summary>
    public bool TakeInterrupt()
    {
        if (_nextUsed == _lastSignalled || _used is null)
            return false;
        // The driver writes its wish and then looks at the used index; here it is the other way round, so a full fence.
        Interlocked.MemoryBarrier();
        var before = _lastSignalled;
        _lastSignalled = _nextUsed;
        if (!_eventIndex)
            return (Volatile.Read(ref *(ushort*)_available) & NoInterrupt) == 0;
        var wanted = Volatile.Read(ref *(ushort*)(_available + 4 + (2 * _entries)));
        return (ushort)(_nextUsed - wanted - 1) < (ushort)(_nextUsed - before);
    }

    /// <summary>Asks the driver to notify for its next request.</summary>
    /// <returns>True if one has come meanwhile: take again before waiting.</returns>
    public bool Rearm()
    {
        if (!_running)
            return false;
        if (_eventIndex)
            Volatile.Write(ref *(ushort*)(_used + 4 + (8 * _entries)), _nextAvailable);
        Interlocked.MemoryBarrier();
        return Volatile.Read(ref *(ushort*)(_available + 2)) != _nextAvailable;
    }

    public void Dispose()
    {
        Stop();
        _chain.Dispose();
    }

    private bool Break()
    {
        Broken = true;
        _running = false;
        return false;
    }
}

/// <summary>What the driver has said of a queue, unchecked.</summary>
/// <param name="Size">Descriptors.</param>
/// <param name="Table">Guest-physical address of the descriptor table.</param>
/// <param name="Available">Of the available ring.</param>
/// <param name="Used">Of the used ring.</param>
internal readonly record struct QueueSetup(ushort Size, ulong Table, ulong Available, ulong Used);
