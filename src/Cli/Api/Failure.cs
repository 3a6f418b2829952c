using System.Text.Json.Nodes;

namespace Exitless.Cli.Api;

/// <summary>What the command leaves with. Scripts may rely on it.</summary>
internal enum ExitCode
{
    /// <summary>Done.</summary>
    Done = 0,
    /// <summary>The control plane refused the request, or could not do it.</summary>
    Refused = 1,
    /// <summary>The command line, or a file that it names, is wrong.</summary>
    Usage = 2,
    /// <summary>There is no such thing.</summary>
    NotFound = 3,
    /// <summary>What is there stands against it: it changed meanwhile, is in use, or differs in what cannot be changed.</summary>
    Conflict = 4,
    /// <summary>Not signed in, or without the role.</summary>
    NotAllowed = 5,
    /// <summary>The operation failed or was cancelled.</summary>
    OperationFailed = 6,
    /// <summary>The operation is not over yet.</summary>
    TimedOut = 7,
    /// <summary>The control plane does not answer.</summary>
    Unreachable = 8,
}

/// <summary>Why a command does not succeed, in words, and what it leaves with.</summary>
internal sealed class FailureException(ExitCode code, string message, Exception? inner = null) : Exception(message, inner)
{
    public ExitCode Code { get; } = code;

    /// <summary>An RFC 9457 problem.</summary>
    public static FailureException Of(int status, JsonNode? problem, string request)
    {
        var code = status switch
        {
            401 or 403 => ExitCode.NotAllowed,
            404 => ExitCode.NotFound,
            409 or 412 or 422 => ExitCode.Conflict,
            _ => ExitCode.Refused,
        };
        var words = new[] { (string?)problem?["title"], (string?)problem?["detail"], (string?)problem?["remedy"] }.Where(w => !string.IsNullOrWhiteSpace(w)).ToList();
        return new FailureException(code, words.Count > 0 ? $"{string.Join(' ', words)} ({(string?)problem!["code"]})" : $"{request} was answered with {status}.");
    }
}
