namespace Exitless.Agent.ExitReasons;

/// <summary>
/// Asks for a VM's exits by reason while it exits more often than it should, though nobody looks. It begins and ends after three such seconds one after another, ends in any case after its time, and begins at most once
/// in ten times that: a guest cannot have itself counted all the time.
/// </summary>
/// <param name="limit">Exits a second; 0: it never asks.</param>
/// <param name="seconds">For so long at most.</param>
internal sealed class ReasonRule(long limit, int seconds)
{
    private const int Sure = 3, Pause = 10;
    private bool _above;
    private int _run, _left, _rest;

    /// <summary>Exits are to be counted by reason.</summary>
    public bool Asks => _left > 0;

    /// <summary>Takes a second.</summary>
    /// <param name="exits">Exits in it.</param>
    /// <returns>True if it asks from now on.</returns>
    public bool Take(long exits)
    {
        if (limit <= 0)
            return false;
        var above = exits > limit;
        _run = above == _above ? Math.Min(_run + 1, Sure) : 1;
        _above = above;
        _left = above || _run < Sure ? Math.Max(0, _left - 1) : 0;
        _rest = Math.Max(0, _rest - 1);
        if (!above || _run < Sure || _rest > 0)
            return false;
        (_left, _rest) = (seconds, seconds * Pause);
        return true;
    }
}
