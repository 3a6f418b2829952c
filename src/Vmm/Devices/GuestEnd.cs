using Exitless.Vmm.Control;

namespace Exitless.Vmm.Devices;

/// <summary>How the guest is to end, or that it is to start again: the first to say so wins; the vCPU threads look at it after each exit.</summary>
/// <param name="restarts">True if a guest that resets starts again in place instead of ending.</param>
internal sealed class GuestEnd(bool restarts = false)
{
    private readonly Lock _gate = new();
    private (VmEndReason Reason, string Text)? _first;
    private (VmEndReason Reason, string Text)? _restart;
    private bool _asked;

    /// <summary>True once somebody has asked for an end, or a new start. Cheap.</summary>
    public bool Asked => Volatile.Read(ref _asked);

    /// <summary>How the guest ends for good; null while it need not.</summary>
    public (VmEndReason Reason, string Text)? First
    {
        get
        {
            lock (_gate)
                return _first;
        }
    }

    /// <summary>Why the guest is to start again; null while it need not.</summary>
    public (VmEndReason Reason, string Text)? Restart
    {
        get
        {
            lock (_gate)
                return _first is null ? _restart : null;
        }
    }

    /// <summary>Asks for the end, or for a new start if the machine does that on a reset.</summary>
    public void Ask(VmEndReason reason, string text)
    {
        lock (_gate)
        {
            if (restarts && reason is (VmEndReason.Reset or VmEndReason.GuestPanic))
                _restart ??= (reason, text);
            else
                _first ??= (reason, text);
            Volatile.Write(ref _asked, true);
        }
    }

    /// <summary>Asks for the end, whatever the machine does on a reset.</summary>
    public void AskForGood(VmEndReason reason, string text)
    {
        lock (_gate)
        {
            _first ??= (reason, text);
            Volatile.Write(ref _asked, true);
        }
    }

    /// <summary>The guest has been made ready to start again; all its vCPUs wait.</summary>
    public void HasRestarted()
    {
        lock (_gate)
        {
            _restart = null;
            Volatile.Write(ref _asked, _first is not null);
        }
    }
}
