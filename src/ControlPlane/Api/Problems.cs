namespace Exitless.ControlPlane.Api;

/// <summary>A failure in the user's words, as it is stored with a VM or an operation.</summary>
/// <param name="Code">Stable, for programs: <c>device-in-use</c>, <c>group-not-viable</c>, ...</param>
/// <param name="Title">One short sentence.</param>
/// <param name="Detail">What happened, with the value and the limit.</param>
/// <param name="Remedy">What to do about it; null where nobody can do anything.</param>
/// <param name="Field">The field of the request or of the VM's specification that it is about, such as <c>devices[0].address</c>.</param>
public sealed record ProblemDto(string Code, string Title, string? Detail, string? Remedy, string? Field);

/// <summary>What kind of failure a <see cref="ProblemException"/> is; REST turns it into a status.</summary>
public enum ProblemKind
{
    /// <summary>The request itself is wrong (400).</summary>
    Invalid,
    /// <summary>The thing it names does not exist (404).</summary>
    NotFound,
    /// <summary>The request is right, but what is there now stands against it (409).</summary>
    Conflict,
    /// <summary>The control plane cannot do it at present (503).</summary>
    Unavailable,
    /// <summary>What is there is no longer what the request was made for (412).</summary>
    Stale,
    /// <summary>Whoever asks lacks the role (403).</summary>
    Forbidden,
    /// <summary>The request contradicts one that was made before under the same key (422).</summary>
    Contradiction,
}

/// <summary>A request that is refused before anything was touched. REST answers with an RFC 9457 problem; the dashboard shows the words.</summary>
public sealed class ProblemException : Exception
{
    /// <param name="kind">Which status REST gives it.</param>
    /// <param name="code">Stable, for programs.</param>
    /// <param name="title">One short sentence.</param>
    /// <param name="detail">What is wrong, with the value and the limit.</param>
    /// <param name="remedy">What to do about it.</param>
    /// <param name="errors">Field name (as in JSON, such as <c>devices[0].address</c>) to what is wrong with it.</param>
    public ProblemException(ProblemKind kind, string code, string title, string detail, string? remedy = null, IReadOnlyDictionary<string, string[]>? errors = null)
        : base($"{title} {detail}")
    {
        Kind = kind;
        Code = code;
        Title = title;
        Detail = detail;
        Remedy = remedy;
        Errors = errors ?? new Dictionary<string, string[]>(StringComparer.Ordinal);
    }

    /// <summary>Which status REST gives it.</summary>
    public ProblemKind Kind { get; }

    /// <summary>Stable, for programs.</summary>
    public string Code { get; }

    /// <summary>One short sentence.</summary>
    public string Title { get; }

    /// <summary>What is wrong, with the value and the limit.</summary>
    public string Detail { get; }

    /// <summary>What to do about it, if there is anything.</summary>
    public string? Remedy { get; }

    /// <summary>Field name (as in JSON) to what is wrong with it; empty when the failure is about no field.</summary>
    public IReadOnlyDictionary<string, string[]> Errors { get; }

    /// <summary>A failure that is about one field.</summary>
    public static ProblemException ForField(ProblemKind kind, string code, string title, string field, string detail, string? remedy = null) =>
        new(kind, code, title, detail, remedy, new Dictionary<string, string[]>(StringComparer.Ordinal) { [field] = [detail] });

    /// <summary>The thing with this id does not exist.</summary>
    public static ProblemException NotFound(string what, object id) =>
        new(ProblemKind.NotFound, $"{what.ToLowerInvariant().Replace(' ', '-')}-not-found", $"{what} not found.", $"There is no {what} '{id}'.", $"List what there is, and use its id.");
}
