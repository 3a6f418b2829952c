namespace Exitless.ControlPlane.Link;

/// <summary>
/// Notices that nothing has been heard for a while. Hearing touches no timer: with thousands of links that say something at every moment, the timers' lock would be what they wait
/// for. The one timer of a link looks, when it fires, how long the silence has been by then.
/// </summary>
internal sealed class SilenceWatch : IDisposable
{
    private const long Deaf = long.MaxValue;

    private readonly TimeSpan _limit;
    private readonly TimeProvider _time;
    private readonly CancellationTokenSource _over = new();
    private readonly ITimer _timer;
    private long _heardAt;

    public SilenceWatch(TimeSpan limit, TimeProvider time)
    {
        (_limit, _time, _heardAt) = (limit, time, time.GetTimestamp());
        _timer = time.CreateTimer(_ => Look(), null, limit, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Cancelled when the silence has lasted too long.</summary>
    public CancellationToken Token => _over.Token;

    /// <summary>Whether it has.</summary>
    public bool IsOver => _over.IsCancellationRequested;

    /// <summary>Listens; the silence begins now.</summary>
    public void Listen() => Volatile.Write(ref _heardAt, _time.GetTimestamp());

    /// <summary>Something was heard and is being taken: nobody listens, and so nobody can say that the other side is silent.</summary>
    public void Heard() => Volatile.Write(ref _heardAt, Deaf);

    public void Dispose()
    {
        _timer.Dispose();
        _over.Dispose();
    }

    private void Look()
    {
        var heardAt = Volatile.Read(ref _heardAt);
        var rest = heardAt == Deaf ? _limit : _limit - _time.GetElapsedTime(heardAt);
        try
        {
            if (rest <= TimeSpan.Zero)
                _over.Cancel();
            else
                _timer.Change(rest, Timeout.InfiniteTimeSpan);
        }
        catch (ObjectDisposedException)
        {
            // The link has ended at the same moment.
        }
    }
}
