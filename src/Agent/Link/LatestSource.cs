using Exitless.Contracts;

namespace Exitless.Agent.Link;

/// <summary>A whole state of which only the newest matters: sent on each new stream and whenever it changes.</summary>
internal sealed class LatestSource<T>(AsyncSignal signal, Func<T, AgentMessage> wrap) : ILinkSource
    where T : class, IEquatable<T>
{
    private readonly Lock _gate = new();
    private T? _latest;
    private bool _sent;

    public T? Latest
    {
        get
        {
            lock (_gate)
                return _latest;
        }
    }

    /// <summary>Takes a state. It must not be changed afterwards.</summary>
    /// <returns>False when it equals the one before.</returns>
    public bool Set(T state)
    {
        lock (_gate)
        {
            if (state.Equals(_latest))
                return false;
            _latest = state;
            _sent = false;
        }
        signal.Set();
        return true;
    }

    public void Restart(Welcome welcome)
    {
        lock (_gate)
            _sent = false;
    }

    public AgentMessage? Next()
    {
        lock (_gate)
        {
            if (_sent || _latest is null)
                return null;
            _sent = true;
            return wrap(_latest);
        }
    }
}
