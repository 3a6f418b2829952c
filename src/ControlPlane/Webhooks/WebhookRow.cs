namespace Exitless.ControlPlane.Webhooks;

/// <summary>A webhook, as it is stored: how far it has been told of events is a place among them, so that none is lost and none overtakes another.</summary>
internal sealed class WebhookRow
{
    public required Guid Id { get; init; }

    public required string Name { get; init; }

    public required string Url { get; init; }

    public required IReadOnlyList<string> Kinds { get; init; }

    /// <summary>Protected by the data protection keys: it is needed to sign.</summary>
    public required string Secret { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    public required string CreatedBy { get; init; }

    /// <summary>The place of the newest event that it has taken, or that it does not want.</summary>
    public required long Through { get; set; }

    public DateTimeOffset? DeliveredAt { get; set; }

    public int Attempts { get; set; }

    public DateTimeOffset? NextAttemptAt { get; set; }

    public string? LastError { get; set; }
}
