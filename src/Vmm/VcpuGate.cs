using Exitless.Vmm.Devices;

namespace Exitless.Vmm;

/// <summary>
/// Where vCPU threads wait while the guest is paused or starts again, and from where they leave when it has ended. Closed at first, so that no
/// vCPU runs before all threads are ready.
/// </summary>
/// <param name="vcpus">How many threads come here.</param>
/// <param name="end">Tells of the end and of a new start.</param>
/// <param name="kick">Makes all vCPUs leave the guest.</param>
/// <param name="restart">Makes the guest ready to start again; called on the thread that came last, while all the others wait.</param>
internal sealed class VcpuGate(int vcpus, GuestEnd end, Action kick, Action restart)
{
    // A plain object: System.Threading.Lock cannot be waited on.
    private readonly object _gate = new();
    private int _waiting;
    private int _left;
    private bool _held = true;
    private bool _restarting;

    /// <summary>True if a vCPU thread is to come here. Cheap.</summary>
    public bool Closed => Volatile.Read(ref _held) || end.Asked;

    /// <summary>Keeps vCPUs from here on; the caller kicks them out of the guest.</summary>
    public void Hold()
    {
        lock (_gate)
            Volatile.Write(ref _held, true);
    }

    /// <summary>Waits until no vCPU is in the guest any more.</summary>
    public void WaitUntilAllAreHere()
    {
        lock (_gate)
        {
            while (_waiting + _left < vcpus || _restarting)
                Monitor.Wait(_gate);
        }
    }

    /// <summary>Lets waiting vCPUs go on.</summary>
    public void Open()
    {
        lock (_gate)
        {
            Volatile.Write(ref _held, false);
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>Lets waiting vCPUs look again, after something was asked of <see cref="GuestEnd"/> from outside.</summary>
    public void Wake()
    {
        lock (_gate)
            Monitor.PulseAll(_gate);
    }

    /// <summary>Called by a vCPU's thread: waits as long as the gate is closed.</summary>
    /// <returns>False if the guest has ended and the thread is to leave for good; that is counted.</returns>
    public bool Pass()
    {
        // One that comes because the guest has ended, or starts again, takes the others along.
        if (end.Asked)
            kick();
        lock (_gate)
        {
            _waiting++;
            Monitor.PulseAll(_gate);
            while (true)
            {
                if (_restarting)
                {
                    Monitor.Wait(_gate);
                }
                else if (end.First is not null)
                {
                    _waiting--;
                    _left++;
                    return false;
                }
                else if (end.Restart is not null && _waiting == vcpus)
                {
                    RestartUnlocked();
                }
                else if (Closed)
                {
                    Monitor.Wait(_gate);
                }
                else
                {
                    _waiting--;
                    return true;
                }
            }
        }
    }

    private void RestartUnlocked()
    {
        _restarting = true;
        Monitor.Exit(_gate);
        try
        {
            restart();
        }
        finally
        {
            Monitor.Enter(_gate);
            _restarting = false;
            end.HasRestarted();
            Monitor.PulseAll(_gate);
        }
    }
}
