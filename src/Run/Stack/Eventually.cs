namespace Exitless.Run.Stack;

/// <summary>Waiting for what another process brings about and nobody announces.</summary>
public static class Eventually
{
    private static readonly TimeSpan Pulse = TimeSpan.FromMilliseconds(250);

    /// <summary>Asks again and again until there is an answer.</summary>
    /// <param name="what">What is waited for, in words.</param>
    /// <param name="limit">How long at the most.</param>
    /// <param name="ask">The question; null: not yet.</param>
    /// <param name="cancellation">Ends the waiting.</param>
    /// <exception cref="RunFailedException">No answer in time.</exception>
    public static async Task<T> GetAsync<T>(string what, TimeSpan limit, Func<Task<T?>> ask, CancellationToken cancellation)
        where T : class
    {
        var started = TimeProvider.System.GetTimestamp();
        using var pulse = new PeriodicTimer(Pulse);
        do
        {
            if (await ask() is { } answer)
                return answer;
        }
        while (TimeProvider.System.GetElapsedTime(started) < limit && await pulse.WaitForNextTickAsync(cancellation));
        throw new RunFailedException(what, $"{what}: not within {limit.TotalSeconds:0} s");
    }

    /// <summary>Waits until a condition holds.</summary>
    /// <exception cref="RunFailedException">It did not hold in time.</exception>
    public static Task HoldsAsync(string what, TimeSpan limit, Func<Task<bool>> ask, CancellationToken cancellation) =>
        GetAsync<object>(what, limit, async () => await ask() ? what : null, cancellation);
}
