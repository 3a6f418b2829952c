using Exitless.Vmm.Control;

namespace Exitless.Vmm.Devices;

/// <summary>How the guest is to end: the first to say so wins; the vCPU threads look at it after each exit.</summary>
internal sealed class GuestEnd
{
    private readonly Lock _gate = new();
    private (VmEndReason Reason, string Text)? _first;
    private bool _asked;

    /// <summary>True once somebody has asked. Cheap.</summary>
    public bool Asked => Volatile.Read(ref _asked);

    public (VmEndReason Reason, string Text)? First
    {
        get
        {
            lock (_gate)
                return _first;
        }
    }

    public void Ask(VmEndReason reason, string text)
    {
        lock (_gate)
            _first ??= (reason, text);
        Volatile.Write(ref _asked, true);
    }
}
