using System.Security.Cryptography;
using System.Text;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Database;
using Microsoft.EntityFrameworkCore;

namespace Exitless.ControlPlane.Idempotency;

/// <summary>A change that carries a key.</summary>
/// <param name="Caller">The id of the caller's token or person.</param>
/// <param name="Credential">What the caller proves it by.</param>
/// <param name="Key">The key.</param>
/// <param name="Method">HTTP method.</param>
/// <param name="Path">Path, without the query: how long to wait is no part of the change.</param>
/// <param name="BodyHash">SHA-256 of the body.</param>
internal sealed record KeyedRequest(Guid Caller, string Credential, string Key, string Method, string Path, byte[] BodyHash);

/// <summary>
/// Requests that may be repeated and do their work once. The first to come writes its row; the row is marked done in the transaction of the work, so that a
/// crash leaves either both or neither. Who repeats it meanwhile waits for the first. Refusals are not kept: they changed nothing, and the same key may try again.
/// </summary>
internal sealed class RepeatableRequests(IDbContextFactory<ControlPlaneContext> contexts, TimeProvider time)
{
    /// <summary>How long an answer can be had again.</summary>
    public static readonly TimeSpan Kept = TimeSpan.FromDays(1);

    /// <summary>Longer than any request takes: it may wait five minutes for its operation's end.</summary>
    private static readonly TimeSpan Lease = TimeSpan.FromMinutes(6);

    private static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan LookAgain = TimeSpan.FromMilliseconds(50);

    /// <summary>The attempt that shall do the work; or the answer that was given before.</summary>
    public async Task<(RepeatableAttempt? Attempt, StoredAnswer? Answer)> BeginAsync(KeyedRequest request, CancellationToken ct)
    {
        var seal = new AnswerSeal(request.Credential, request.Key);
        var hash = SHA256.HashData(Encoding.UTF8.GetBytes(request.Key));
        var began = time.GetTimestamp();
        while (true)
        {
            var now = time.GetUtcNow();
            var attempt = Guid.CreateVersion7(now);
            var lease = now + Lease;
            await using var db = await contexts.CreateDbContextAsync(ct);
            var mine = await db.Database.ExecuteSqlAsync(
                $"""
                INSERT INTO idempotency_keys AS known (caller, key_hash, method, path, body_hash, created_at, attempt, lease_until, done)
                VALUES ({request.Caller}, {hash}, {request.Method}, {request.Path}, {request.BodyHash}, {now}, {attempt}, {lease}, false)
                ON CONFLICT (caller, key_hash) DO UPDATE SET attempt = excluded.attempt, lease_until = excluded.lease_until
                WHERE NOT known.done AND known.lease_until < {now} AND known.method = excluded.method AND known.path = excluded.path AND known.body_hash = excluded.body_hash
                """, ct);
            if (mine == 1)
                return (new RepeatableAttempt(contexts, request.Caller, hash, attempt, seal), null);
            if (await db.IdempotencyKeys.AsNoTracking().SingleOrDefaultAsync(k => k.Caller == request.Caller && k.KeyHash == hash, ct) is not { } row)
                continue;
            if (row.Method != request.Method || row.Path != request.Path || !row.BodyHash.AsSpan().SequenceEqual(request.BodyHash))
            {
                throw ProblemException.ForField(ProblemKind.Contradiction, "idempotency-key-reused", "The key belongs to another request.", "Idempotency-Key",
                    $"'{request.Key}' was sent with {row.Method} {row.Path}{(row.Method == request.Method && row.Path == request.Path ? " and another body" : "")} at {row.CreatedAt:u}.", "Make a new key for each change, and repeat a key only with the same request.");
            }
            if (row.Status is { } status)
                return (null, new StoredAnswer(status, row.Location, Opened(seal, row.Body ?? [])));
            if (row.Done && row.LeaseUntil < now)
                throw new ProblemException(ProblemKind.Conflict, "idempotency-answer-lost", "The change was made, but its answer was lost.", "The control plane stopped between the two.", "Look at what there is now; make a new key for what is still to be done.");
            if (time.GetElapsedTime(began) > LongestWait)
                throw new ProblemException(ProblemKind.Conflict, "idempotency-key-in-progress", "The first request with this key is under way.", $"It has been since {row.CreatedAt:u}.", "Repeat the request later, with the same key.");
            await Task.Delay(LookAgain, time, ct);
        }
    }

    private static byte[] Opened(AnswerSeal seal, byte[] body) => body.Length == 0 ? body : seal.Open(body)
        ?? throw new ProblemException(ProblemKind.Conflict, "idempotency-answer-sealed", "The answer cannot be shown again.", "It is sealed with the session or token that the request was first sent with.", "The change was made; look at what there is now.");
}

/// <summary>The one among repeats that does the work.</summary>
internal sealed class RepeatableAttempt(IDbContextFactory<ControlPlaneContext> contexts, Guid caller, byte[] keyHash, Guid attempt, AnswerSeal seal)
{
    /// <summary>Whether the work has been committed.</summary>
    public bool Done { get; set; }

    /// <summary>Marks it done, in the transaction of the work.</summary>
    public async Task MarkAsync(ControlPlaneContext db, CancellationToken ct)
    {
        var marked = await db.Database.ExecuteSqlAsync($"UPDATE idempotency_keys SET done = true WHERE caller = {caller} AND key_hash = {keyHash} AND attempt = {attempt}", ct);
        if (marked != 1)
            throw new ProblemException(ProblemKind.Conflict, "idempotency-key-taken-over", "A repeat has taken this request over.", "It took longer than its lease.", "Repeat the request with the same key.");
    }

    /// <summary>Keeps the answer. A later one, such as that after a wait, takes the place of the first.</summary>
    public async Task KeepAsync(StoredAnswer answer)
    {
        var body = answer.Body.Length == 0 ? answer.Body : seal.Close(answer.Body);
        await using var db = await contexts.CreateDbContextAsync(CancellationToken.None);
        await db.IdempotencyKeys.Where(k => k.Caller == caller && k.KeyHash == keyHash && k.Attempt == attempt)
            .ExecuteUpdateAsync(s => s.SetProperty(k => k.Done, true).SetProperty(k => k.Status, answer.Status).SetProperty(k => k.Location, answer.Location).SetProperty(k => k.Body, body), CancellationToken.None);
    }

    /// <summary>Gives the key back: nothing was done.</summary>
    public async Task ReleaseAsync()
    {
        await using var db = await contexts.CreateDbContextAsync(CancellationToken.None);
        await db.IdempotencyKeys.Where(k => k.Caller == caller && k.KeyHash == keyHash && k.Attempt == attempt && !k.Done).ExecuteDeleteAsync(CancellationToken.None);
    }
}
