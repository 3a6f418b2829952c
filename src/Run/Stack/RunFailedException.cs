namespace Exitless.Run.Stack;

/// <summary>A step of the run failed; <see cref="Step"/> names it for scripts, the message says why for people.</summary>
public sealed class RunFailedException(string step, string message, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>The step's short name, as in the JSON of <c>./run --check</c>.</summary>
    public string Step { get; } = step;
}
