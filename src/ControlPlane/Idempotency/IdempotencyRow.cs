namespace Exitless.ControlPlane.Idempotency;

/// <summary>A change that was asked for under an <c>Idempotency-Key</c>, and how it was answered.</summary>
internal sealed class IdempotencyRow
{
    /// <summary>The id of the caller's token or person.</summary>
    public required Guid Caller { get; init; }

    /// <summary>SHA-256 of the key: the key itself helps to open the answer, and is not kept.</summary>
    public required byte[] KeyHash { get; init; }

    public required string Method { get; init; }

    public required string Path { get; init; }

    /// <summary>SHA-256 of the body as it was understood: white space and the order of members do not count.</summary>
    public required byte[] BodyHash { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>Which of the repeats does the work.</summary>
    public required Guid Attempt { get; set; }

    /// <summary>When an attempt that was not heard of again is given up.</summary>
    public required DateTimeOffset LeaseUntil { get; set; }

    /// <summary>Written in the transaction of the work itself.</summary>
    public bool Done { get; set; }

    public int? Status { get; set; }

    public string? Location { get; set; }

    /// <summary>The answer's body, sealed by <see cref="AnswerSeal"/>; empty: it had none.</summary>
    public byte[]? Body { get; set; }
}
