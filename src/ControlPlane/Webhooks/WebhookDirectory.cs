using Exitless.ControlPlane.Access;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Database;
using Exitless.ControlPlane.Events;
using Microsoft.AspNetCore.DataProtection;
using Microsoft.EntityFrameworkCore;
using Npgsql;
using Secret = Exitless.ControlPlane.Identity.Secret;

namespace Exitless.ControlPlane.Webhooks;

/// <inheritdoc />
internal sealed class WebhookDirectory(ChangeRunner runner, IDbContextFactory<ControlPlaneContext> contexts, IDataProtectionProvider protection) : IWebhooks
{
    /// <summary>What the secrets are protected for.</summary>
    public const string Purpose = "Exitless.Webhooks";

    private const string SecretPrefix = "exwh_";
    private const int LongestName = 100;
    private const int LongestUrl = 2000;
    private const int MostKinds = 100;

    public async Task<IReadOnlyList<WebhookDto>> ListAsync(CancellationToken ct)
    {
        await using var db = await contexts.CreateDbContextAsync(ct);
        var rows = await db.Webhooks.AsNoTracking().OrderBy(w => w.Name).ToListAsync(ct);
        var all = new List<WebhookDto>(rows.Count);
        foreach (var row in rows)
            all.Add(await ToDtoAsync(db, row, ct));
        return all;
    }

    public async Task<WebhookDto> GetAsync(Guid webhookId, CancellationToken ct)
    {
        await using var db = await contexts.CreateDbContextAsync(ct);
        return await GetAsync(db, webhookId, ct);
    }

    internal static async Task<WebhookDto> GetAsync(ControlPlaneContext db, Guid webhookId, CancellationToken ct) =>
        await ToDtoAsync(db, await db.Webhooks.AsNoTracking().SingleOrDefaultAsync(w => w.Id == webhookId, ct) ?? throw ProblemException.NotFound("Webhook", webhookId), ct);

    public async Task<CreatedWebhookDto> CreateAsync(WebhookRequest request, Actor by, CancellationToken ct)
    {
        Check(request);
        try
        {
            return await runner.RunAsync(async (db, changes) =>
            {
                await Rights.DemandAsync(db, changes, by, Role.Admin, null, ct);
                var secret = Secret.Make(SecretPrefix);
                var row = new WebhookRow
                {
                    Id = changes.NewId(),
                    Name = request.Name,
                    Url = request.Url,
                    Kinds = request.Kinds ?? [],
                    Secret = protection.CreateProtector(Purpose).Protect(secret),
                    CreatedAt = changes.Now,
                    CreatedBy = by.Name,
                    Through = await db.Events.MaxAsync(e => (long?)e.Place, ct) ?? 0,
                };
                db.Webhooks.Add(row);
                changes.Tell(db, "webhook-created", EventSeverity.Info, $"{by.Name} made the webhook {row.Name}.", by: by);
                return new CreatedWebhookDto(row.Id, row.Name, secret);
            }, ct);
        }
        catch (DbUpdateException e) when (e.InnerException is PostgresException { ConstraintName: ControlPlaneContext.WebhookNameIndex })
        {
            throw ProblemException.ForField(ProblemKind.Conflict, "webhook-name-taken", "The name is taken.", "name", $"There is a webhook named '{request.Name}'.", "Choose another name.");
        }
    }

    public Task DeleteAsync(Guid webhookId, Actor by, CancellationToken ct) => runner.RunAsync(async (db, changes) =>
    {
        await Rights.DemandAsync(db, changes, by, Role.Admin, null, ct);
        var row = await db.Webhooks.SingleOrDefaultAsync(w => w.Id == webhookId, ct) ?? throw ProblemException.NotFound("Webhook", webhookId);
        db.Webhooks.Remove(row);
        changes.Tell(db, "webhook-deleted", EventSeverity.Info, $"{by.Name} removed the webhook {row.Name}.", by: by);
    }, ct);

    /// <summary>The events that a webhook wants of those after a place.</summary>
    public static IQueryable<EventRow> Wanted(IQueryable<EventRow> events, WebhookRow webhook)
    {
        var (through, kinds) = (webhook.Through, webhook.Kinds.ToList());
        var after = events.Where(e => e.Place > through);
        return kinds.Count == 0 ? after : after.Where(e => kinds.Contains(e.Kind));
    }

    private static async Task<WebhookDto> ToDtoAsync(ControlPlaneContext db, WebhookRow w, CancellationToken ct) =>
        new(w.Id, w.Name, w.Url, w.Kinds, w.CreatedAt, w.CreatedBy, await Wanted(db.Events, w).CountAsync(ct), w.DeliveredAt, w.Attempts, w.NextAttemptAt, w.LastError);

    private static void Check(WebhookRequest request)
    {
        var mistakes = new Mistakes();
        if (request.Name.Length is 0 or > LongestName || request.Name.Any(char.IsControl))
            mistakes.Add("name", $"The name has {request.Name.Length} characters; 1 to {LongestName} are allowed, and no control characters.");
        if (request.Url.Length > LongestUrl || !Uri.TryCreate(request.Url, UriKind.Absolute, out var url) || !(url.Scheme == Uri.UriSchemeHttps || (url.Scheme == Uri.UriSchemeHttp && url.IsLoopback)) || url.UserInfo.Length > 0 || request.Url.Any(char.IsControl))
            mistakes.Add("url", $"'{request.Url[..Math.Min(request.Url.Length, 200)]}' is no address to post to.", "Write an https address without a password, or an http address of this machine.");
        if (request.Kinds is { } kinds && (kinds.Count > MostKinds || kinds.Any(k => k is null || k.Length is 0 or > 100 || k.Any(c => c is not ('-' or (>= 'a' and <= 'z') or (>= '0' and <= '9'))))))
            mistakes.Add("kinds", $"At most {MostKinds} kinds such as 'vm-ended' are allowed: small letters, digits and hyphens.");
        mistakes.Throw("webhook-invalid", "The webhook cannot be made.");
    }
}
