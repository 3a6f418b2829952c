using System.Globalization;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Threading.Channels;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Database;
using Exitless.ControlPlane.Rest;
using Microsoft.AspNetCore.DataProtection;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Exitless.ControlPlane.Webhooks;

/// <summary>
/// Posts events to webhooks, each in its order and until it is taken: an attempt that fails is made again, after twice the time, an hour at most. Who posts holds the webhook's row, so that
/// replicas take turns. An answer that was lost makes a second post; receivers know it by the event's id.
/// </summary>
internal sealed partial class WebhookSender(IDbContextFactory<ControlPlaneContext> contexts, IDataProtectionProvider protection, IChangeFeed feed, TimeProvider time, ILogger<WebhookSender> logger) : BackgroundService
{
    public const string SignatureHeader = "Exitless-Signature";
    public const string EventHeader = "Exitless-Event";

    private const int Together = 20;

    private static readonly TimeSpan LookAgain = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan LongestPause = TimeSpan.FromHours(1);
    private static readonly TimeSpan AttemptLimit = TimeSpan.FromSeconds(10);

    // An address that answers with a redirect is not followed: it could lead to where the one that was checked does not.
    private readonly HttpClient _http = new(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false, PooledConnectionLifetime = TimeSpan.FromMinutes(5) });

    /// <summary>How long to wait after so many attempts in vain.</summary>
    public static TimeSpan Pause(int attempts) => TimeSpan.FromSeconds(Math.Min(FirstPause.TotalSeconds * Math.Pow(2, Math.Min(attempts, 20) - 1), LongestPause.TotalSeconds));

    /// <summary><c>t=…,v1=…</c>: Unix seconds, and HMAC-SHA-256 of <c>t.body</c> in hexadecimal.</summary>
    public static string Sign(string secret, long unixSeconds, string body) =>
        $"t={unixSeconds.ToString(CultureInfo.InvariantCulture)},v1={Convert.ToHexStringLower(HMACSHA256.HashData(Encoding.UTF8.GetBytes(secret), Encoding.UTF8.GetBytes($"{unixSeconds.ToString(CultureInfo.InvariantCulture)}.{body}")))}";

    public override void Dispose()
    {
        _http.Dispose();
        base.Dispose();
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var changed = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
        using var subscription = feed.Subscribe(c =>
        {
            if (c.Kind == ChangeKind.Event)
                changed.Writer.TryWrite(true);
        });
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                await SendDueAsync(stoppingToken);
            }
            catch (Exception e) when (DatabaseTrouble.Is(e))
            {
                LogFailed(logger, e);
            }
            using var over = new CancellationTokenSource(LookAgain, time);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(over.Token, stoppingToken);
            try
            {
                await changed.Reader.ReadAsync(either.Token);
            }
            catch (OperationCanceledException) when (!stoppingToken.IsCancellationRequested)
            {
                // Looked at again.
            }
        }
    }

    private async Task SendDueAsync(CancellationToken ct)
    {
        List<Guid> due;
        var now = time.GetUtcNow();
        await using (var db = await contexts.CreateDbContextAsync(ct))
            due = await db.Webhooks.Where(w => w.NextAttemptAt == null || w.NextAttemptAt <= now).Select(w => w.Id).ToListAsync(ct);
        // One that does not answer holds up no other.
        await Task.WhenAll(due.Select(id => SendAsync(id, ct)));
    }

    private async Task SendAsync(Guid id, CancellationToken ct)
    {
        await using var db = await contexts.CreateDbContextAsync(ct);
        await using var transaction = await db.Database.BeginTransactionAsync(ct);
        if ((await db.Webhooks.FromSql($"SELECT * FROM webhooks WHERE id = {id} FOR UPDATE SKIP LOCKED").ToListAsync(ct)).SingleOrDefault() is not { } webhook || webhook.NextAttemptAt > time.GetUtcNow())
            return;
        foreach (var row in await WebhookDirectory.Wanted(db.Events.AsNoTracking(), webhook).OrderBy(e => e.Place).Take(Together).ToListAsync(ct))
        {
            if (await TryAsync(webhook, row.Id, row.Kind, JsonSerializer.Serialize(row.ToDto(), JsonFormat.Options), ct) is { } error)
            {
                webhook.Attempts++;
                webhook.LastError = error;
                webhook.NextAttemptAt = time.GetUtcNow() + Pause(webhook.Attempts);
                break;
            }
            (webhook.Through, webhook.DeliveredAt, webhook.Attempts, webhook.NextAttemptAt, webhook.LastError) = (row.Place, time.GetUtcNow(), 0, null, null);
        }
        await db.SaveChangesAsync(ct);
        await transaction.CommitAsync(ct);
    }

    /// <summary>Null: it was taken.</summary>
    private async Task<string?> TryAsync(WebhookRow webhook, Guid eventId, string kind, string body, CancellationToken ct)
    {
        using var limit = new CancellationTokenSource(AttemptLimit, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, ct);
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, webhook.Url) { Content = new StringContent(body, Encoding.UTF8, new MediaTypeHeaderValue("application/json")) };
            request.Headers.Add(SignatureHeader, Sign(protection.CreateProtector(WebhookDirectory.Purpose).Unprotect(webhook.Secret), time.GetUtcNow().ToUnixTimeSeconds(), body));
            request.Headers.Add(EventHeader, $"{eventId:D} {kind}");
            using var answer = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, either.Token);
            return answer.IsSuccessStatusCode ? null : $"It answered with {(int)answer.StatusCode}.";
        }
        catch (HttpRequestException e)
        {
            return $"It does not answer: {e.Message}";
        }
        catch (OperationCanceledException) when (!ct.IsCancellationRequested)
        {
            return $"It did not answer within {AttemptLimit.TotalSeconds:0} s.";
        }
        catch (CryptographicException)
        {
            return "Its secret cannot be read any more; make it anew.";
        }
    }

    [LoggerMessage(1611, LogLevel.Error, "Webhooks could not be served; trying again.")]
    private static partial void LogFailed(ILogger logger, Exception exception);
}
