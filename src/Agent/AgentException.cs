namespace Exitless.Agent;

/// <summary>A failure for the person at the terminal or in the log: what is wrong, and what to do.</summary>
internal sealed class AgentException(string message, string remedy, Exception? cause = null) : Exception(message, cause)
{
    public string Remedy { get; } = remedy;
}
