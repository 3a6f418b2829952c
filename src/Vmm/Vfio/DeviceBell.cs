using Exitless.Linux;

namespace Exitless.Vmm.Vfio;

/// <summary>What vCPU threads have to tell <see cref="DeviceWatch"/>: slots that the guest gave back, and masks that wait. Allocates nothing.</summary>
internal sealed class DeviceBell : IDisposable
{
    private readonly EventFd _wake = new();
    private uint _ejected;
    private int _deferred;

    /// <summary>Signalled when there is something to look at.</summary>
    public EventFd Wake => _wake;

    /// <summary>The guest gave slots back.</summary>
    public void Ejected(uint slots)
    {
        Interlocked.Or(ref _ejected, slots);
        _wake.Signal();
    }

    /// <summary>A mask begins to wait. Rings once until the bell is answered.</summary>
    public void Deferred()
    {
        if (Interlocked.Exchange(ref _deferred, 1) == 0)
            _wake.Signal();
    }

    /// <summary>The slots given back since the last time.</summary>
    public uint TakeEjected() => Interlocked.Exchange(ref _ejected, 0);

    /// <summary>True if masks wait.</summary>
    public bool TakeDeferred() => Interlocked.Exchange(ref _deferred, 0) != 0;

    public void Dispose() => _wake.Dispose();
}
