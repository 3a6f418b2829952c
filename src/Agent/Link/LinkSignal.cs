namespace Exitless.Agent.Link;

/// <summary>Wakes the link when a source has something. Signals given while the link is busy become one.</summary>
internal sealed class LinkSignal
{
    private readonly Lock _gate = new();
    private TaskCompletionSource _next = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Wakes the waiter, now or when it comes.</summary>
    public void Set()
    {
        lock (_gate)
            _next.TrySetResult();
    }

    /// <summary>Forgets signals given so far. Call before asking the sources, so that none is lost.</summary>
    public Task Rearm()
    {
        lock (_gate)
        {
            if (_next.Task.IsCompleted)
                _next = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            return _next.Task;
        }
    }
}
