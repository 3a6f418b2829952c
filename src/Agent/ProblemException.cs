using Exitless.Contracts;

namespace Exitless.Agent;

/// <summary>A wish of the user's that cannot be met, in the user's words, with a stable code.</summary>
internal sealed class ProblemException(string code, string title, string detail, string remedy, string field = "", Exception? cause = null) : Exception(detail, cause)
{
    public Problem Problem { get; } = new() { Code = code, Title = title, Detail = detail, Remedy = remedy, Field = field };
}
