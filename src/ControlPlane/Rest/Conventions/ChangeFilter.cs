using System.Security.Claims;
using System.Security.Cryptography;
using System.Text.Json;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Database;
using Exitless.ControlPlane.Idempotency;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Metadata;
using Microsoft.Extensions.Primitives;

namespace Exitless.ControlPlane.Rest.Conventions;

/// <summary>What every change has in common: <c>If-Match</c> is checked within its transaction, and under an <c>Idempotency-Key</c> it happens once.</summary>
internal sealed class ChangeFilter(RepeatableRequests repeatable) : IEndpointFilter
{
    public const string KeyHeader = "Idempotency-Key";

    private const int LongestKey = 255;
    private const string SessionCookie = "exitless";

    public async ValueTask<object?> InvokeAsync(EndpointFilterInvocationContext context, EndpointFilterDelegate next)
    {
        var http = context.HttpContext;
        if (HttpMethods.IsGet(http.Request.Method))
            return await next(context);
        QueryNames.Check(http, http.GetEndpoint()!);
        var match = http.Request.Headers.IfMatch;
        var resource = http.GetEndpoint()!.Metadata.GetMetadata<ChangePromise>()?.Resource;
        if (match.Count > 0 && resource is null)
            throw ProblemException.ForField(ProblemKind.Invalid, "if-match-impossible", "There is nothing to match yet.", "If-Match", "This request makes something new, which has no entity tag.", "Leave If-Match out; an Idempotency-Key keeps a repeat from making two.");
        var (attempt, answer) = http.Request.Headers.TryGetValue(KeyHeader, out var key) ? await repeatable.BeginAsync(Keyed(context, key), http.RequestAborted) : (null, null);
        if (answer is not null)
            return answer;
        var guard = new RequestGuard(http, match, resource, attempt);
        ChangeGuard.Enter(guard);
        if (attempt is not null)
            http.Features.Set(attempt);
        try
        {
            var result = await next(context);
            if (match.Count > 0 && !guard.Began)
                throw new InvalidOperationException($"{http.Request.Method} {http.Request.Path} changed something without a transaction that its precondition could join.");
            if (attempt is not null)
                await attempt.KeepAsync(StoredAnswer.From(result));
            return result;
        }
        catch (Exception) when (attempt is { Done: false })
        {
            await attempt.ReleaseAsync();
            throw;
        }
    }

    private static KeyedRequest Keyed(EndpointFilterInvocationContext context, StringValues header)
    {
        var http = context.HttpContext;
        var key = header.ToString();
        if (key.Length is 0 or > LongestKey || key.Any(c => c is < '!' or > '~'))
        {
            throw ProblemException.ForField(ProblemKind.Invalid, "idempotency-key-invalid", "The key cannot be used.", KeyHeader, $"It has {key.Length} characters; 1 to {LongestKey} printable ASCII characters without spaces are allowed.", "Make a UUID for each change.");
        }
        var type = http.GetEndpoint()!.Metadata.GetMetadata<IAcceptsMetadata>()?.RequestType;
        var body = type is null ? null : context.Arguments.FirstOrDefault(type.IsInstanceOfType);
        var caller = Guid.Parse(http.User.FindFirstValue(ClaimTypes.NameIdentifier)!);
        var credential = StringValues.IsNullOrEmpty(http.Request.Headers.Authorization) ? http.Request.Cookies[SessionCookie] ?? "" : http.Request.Headers.Authorization.ToString();
        var bytes = body is null ? [] : JsonSerializer.SerializeToUtf8Bytes(body, type!, JsonFormat.Options);
        return new KeyedRequest(caller, credential, key, http.Request.Method, http.Request.Path, SHA256.HashData(bytes));
    }

    /// <summary>Joins the request's precondition and key to the transaction of its change.</summary>
    private sealed class RequestGuard(HttpContext http, StringValues match, Resource? resource, RepeatableAttempt? attempt) : ChangeGuard
    {
        public bool Began { get; private set; }

        public override async Task BeginAsync(ControlPlaneContext db, CancellationToken ct)
        {
            Began = true;
            if (match.Count == 0 || resource is null)
                return;
            await resource.LockAsync(db, http.Request.RouteValues, ct);
            var tag = EntityTag.Of(EntityTag.Represent(await resource.ReadAsync(http.RequestServices, db, http.Request.RouteValues, ct)));
            if (!EntityTag.IsMatch(match, tag))
            {
                throw ProblemException.ForField(ProblemKind.Stale, "etag-stale", "It has changed meanwhile.", "If-Match", $"The entity tag is {tag} now, not {match}.", "Read it again, decide again, and send its new tag.");
            }
        }

        public override Task CommitAsync(ControlPlaneContext db, CancellationToken ct) => attempt?.MarkAsync(db, ct) ?? Task.CompletedTask;

        public override void Committed()
        {
            if (attempt is not null)
                attempt.Done = true;
        }
    }
}
