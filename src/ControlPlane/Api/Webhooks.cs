namespace Exitless.ControlPlane.Api;

/// <summary>A webhook to make: events are posted to it as JSON, each until it is taken.</summary>
/// <param name="Name">1 to 100 characters; unique.</param>
/// <param name="Url">Where to; https, or http to the control plane's own machine.</param>
/// <param name="Kinds">Of these kinds of events only; null or empty: of all.</param>
public sealed record WebhookRequest(string Name, string Url, IReadOnlyList<string>? Kinds = null);

/// <summary>A webhook.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Name">Its name.</param>
/// <param name="Url">Where to.</param>
/// <param name="Kinds">Of these kinds of events only; empty: of all.</param>
/// <param name="CreatedAt">When it was made.</param>
/// <param name="CreatedBy">Who made it.</param>
/// <param name="Waiting">Events that have happened and are not delivered yet.</param>
/// <param name="DeliveredAt">When an event was last taken; null: never.</param>
/// <param name="Attempts">How often the event that is next has been tried in vain.</param>
/// <param name="NextAttemptAt">When it is tried again; null: nothing failed.</param>
/// <param name="LastError">Why the last attempt failed; null: it did not.</param>
public sealed record WebhookDto(
    Guid Id, string Name, string Url, IReadOnlyList<string> Kinds, DateTimeOffset CreatedAt, string CreatedBy, int Waiting, DateTimeOffset? DeliveredAt, int Attempts, DateTimeOffset? NextAttemptAt, string? LastError);

/// <summary>A new webhook. The secret that its posts are signed with is shown this once.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Name">Its name.</param>
/// <param name="Secret">For HMAC-SHA-256 of <c>time.body</c>, as in the header <c>Exitless-Signature: t=…,v1=…</c>.</param>
public sealed record CreatedWebhookDto(Guid Id, string Name, string Secret);

/// <summary>Webhooks.</summary>
public interface IWebhooks
{
    /// <summary>All webhooks, by name.</summary>
    Task<IReadOnlyList<WebhookDto>> ListAsync(CancellationToken ct);

    /// <summary>One webhook; <see cref="ProblemException"/> <c>webhook-not-found</c>.</summary>
    Task<WebhookDto> GetAsync(Guid webhookId, CancellationToken ct);

    /// <summary>Makes a webhook for the events from now on; the answer holds the only copy of the secret that is shown.</summary>
    Task<CreatedWebhookDto> CreateAsync(WebhookRequest request, Actor by, CancellationToken ct);

    /// <summary>Removes a webhook; what it has not been told is not told.</summary>
    Task DeleteAsync(Guid webhookId, Actor by, CancellationToken ct);
}
