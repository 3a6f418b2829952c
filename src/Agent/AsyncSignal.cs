namespace Exitless.Agent;

/// <summary>Wakes one waiter. Signals given while it is busy become one.</summary>
internal sealed class AsyncSignal
{
    private readonly Lock _gate = new();
    private TaskCompletionSource _next = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Wakes the waiter, now or when it comes.</summary>
    public void Set()
    {
        lock (_gate)
            _next.TrySetResult();
    }

    /// <summary>Forgets the signals given so far, and gives the task of the next. Call before looking at what the signal is about, so that none is lost.</summary>
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
