using System.Diagnostics;
using System.Text.Json;
using System.Text.RegularExpressions;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Database;
using Microsoft.AspNetCore.Diagnostics;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Mvc;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Exitless.ControlPlane.Rest;

/// <summary>Every failure of the API as an RFC 9457 problem, with <c>code</c>, <c>remedy</c> and <c>errors</c>, and never with an exception's text.</summary>
internal sealed partial class ProblemWriter(IProblemDetailsService problems, ILogger<ProblemWriter> logger) : IExceptionHandler
{
    public async ValueTask<bool> TryHandleAsync(HttpContext httpContext, Exception exception, CancellationToken cancellationToken)
    {
        var details = exception switch
        {
            ProblemException p => From(p),
            BadHttpRequestException b => From(b),
            NpgsqlException n when n is not PostgresException || n.IsTransient => Details(StatusCodes.Status503ServiceUnavailable, "database-unavailable", "The database does not answer.", "The control plane cannot reach its database.", "Try again; if it stays so, look at the control plane's log."),
            InvalidOperationException when DatabaseTrouble.Is(exception) => Details(StatusCodes.Status503ServiceUnavailable, "database-unavailable", "The database does not answer.", "The control plane cannot reach its database, or all of its connections are in use.", "Try again; if it stays so, look at the control plane's log."),
            _ => null,
        };
        if (details is null)
        {
            details = Details(StatusCodes.Status500InternalServerError, "internal", "Something went wrong in the control plane.", "The control plane's log has the details under this trace id.", null);
            LogUnexpected(logger, httpContext.Request.Method, httpContext.Request.Path, exception);
        }
        httpContext.Response.StatusCode = details.Status!.Value;
        var context = new ProblemDetailsContext { HttpContext = httpContext, ProblemDetails = details, Exception = exception };
        if (await problems.TryWriteAsync(context))
            return true;
        // Somebody who did not ask for JSON still learns what is wrong.
        Complete(context);
        await httpContext.Response.WriteAsJsonAsync(details, JsonFormat.Options, "application/problem+json", cancellationToken);
        return true;
    }

    /// <summary>What every problem carries, also those the framework makes (401, 404, 405, 415).</summary>
    public static void Complete(ProblemDetailsContext context)
    {
        var details = context.ProblemDetails;
        var status = details.Status ?? context.HttpContext.Response.StatusCode;
        details.Status = status;
        if (!details.Extensions.TryGetValue("code", out var known))
        {
            var (code, title, remedy) = status switch
            {
                StatusCodes.Status400BadRequest => ("request-invalid", "The request cannot be read.", "The API is described at /reference."),
                StatusCodes.Status401Unauthorized => ("not-signed-in", "Not signed in.", "Send 'Authorization: Bearer' with a valid API token, or sign in."),
                StatusCodes.Status403Forbidden => ("forbidden", "Not allowed.", null),
                StatusCodes.Status404NotFound => ("not-found", "There is nothing here.", "The API is described at /reference."),
                StatusCodes.Status405MethodNotAllowed => ("method-not-allowed", "This method is not allowed here.", "The API is described at /reference."),
                StatusCodes.Status413PayloadTooLarge => ("body-too-large", "The body is too large.", "Send at most 1 MiB."),
                StatusCodes.Status415UnsupportedMediaType => ("media-type", "The body must be JSON.", "Send 'Content-Type: application/json'."),
                _ => ("failed", details.Title ?? "Failed.", (string?)null),
            };
            details.Extensions["code"] = known = code;
            details.Title = title;
            details.Extensions["remedy"] = remedy;
        }
        details.Type = $"urn:exitless:problem:{known}";
        details.Instance ??= context.HttpContext.Request.Path;
        details.Extensions["traceId"] = Activity.Current?.TraceId.ToHexString() ?? context.HttpContext.TraceIdentifier;
    }

    private static ProblemDetails From(ProblemException p)
    {
        var status = p.Kind switch
        {
            ProblemKind.Invalid => StatusCodes.Status400BadRequest,
            ProblemKind.NotFound => StatusCodes.Status404NotFound,
            ProblemKind.Conflict => StatusCodes.Status409Conflict,
            ProblemKind.Unavailable => StatusCodes.Status503ServiceUnavailable,
            ProblemKind.Forbidden => StatusCodes.Status403Forbidden,
            ProblemKind.Stale => StatusCodes.Status412PreconditionFailed,
            ProblemKind.Contradiction => StatusCodes.Status422UnprocessableEntity,
        };
        return Details(status, p.Code, p.Title, p.Detail, p.Remedy, p.Errors);
    }

    private static ProblemDetails From(BadHttpRequestException b)
    {
        if (b.InnerException is JsonException json)
        {
            // Counted from 0 by the reader, from 1 by people and editors.
            var place = json.LineNumber is { } line ? $"line {line + 1}, byte {(json.BytePositionInLine ?? 0) + 1}" : "its end";
            var field = json.Path is { Length: > 2 } path ? path[2..] : "$";
            var what = json.Message.Split(" Path:", 2)[0].Split(" LineNumber:", 2)[0];
            return Details(StatusCodes.Status400BadRequest, "json-invalid", "The body is not the JSON that is expected.", $"At {place}{(field == "$" ? "" : $", in '{field}'")}: {what}", "The API is described at /reference.",
                new Dictionary<string, string[]>(StringComparer.Ordinal) { [field] = [what] });
        }
        var code = b.StatusCode switch
        {
            StatusCodes.Status413PayloadTooLarge => "body-too-large",
            StatusCodes.Status415UnsupportedMediaType => "media-type",
            _ => "request-invalid",
        };
        if (Unbound().Match(b.Message) is { Success: true } unbound)
        {
            var (name, value) = (unbound.Groups["name"].Value, unbound.Groups["value"].Value);
            var what = $"'{value}' is {Words(unbound.Groups["type"].Value)}.";
            return Details(b.StatusCode, code, "The request cannot be read.", $"In '{name}': {what}", "The API is described at /reference.", new Dictionary<string, string[]>(StringComparer.Ordinal) { [name] = [what] });
        }
        return Details(b.StatusCode, code, "The request cannot be read.", b.Message, "The API is described at /reference.");
    }

    private static string Words(string type) => type switch
    {
        var t when t.Contains("Guid", StringComparison.Ordinal) => "no id: write a UUID such as 01930000-0000-7000-8000-000000000001",
        var t when t.Contains("int", StringComparison.OrdinalIgnoreCase) => $"no whole number between {int.MinValue} and {int.MaxValue}",
        var t when t.Contains("bool", StringComparison.OrdinalIgnoreCase) => "neither true nor false",
        var t when t.Contains("double", StringComparison.OrdinalIgnoreCase) => "no number",
        _ => "none of the values that are known",
    };

    // The framework says what it could not bind in a sentence only: Failed to bind parameter "Nullable<Guid> hostId" from "x".
    [GeneratedRegex("^Failed to bind parameter \"(?<type>.+) (?<name>\\w+)\" from \"(?<value>.*)\"\\.$", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture | RegexOptions.Singleline, 1000)]
    private static partial Regex Unbound();

    private static ProblemDetails Details(int status, string code, string title, string detail, string? remedy, IReadOnlyDictionary<string, string[]>? errors = null)
    {
        var details = new ProblemDetails { Status = status, Title = title, Detail = detail };
        details.Extensions["code"] = code;
        details.Extensions["remedy"] = remedy;
        details.Extensions["errors"] = errors ?? new Dictionary<string, string[]>(StringComparer.Ordinal);
        return details;
    }

    [LoggerMessage(1601, LogLevel.Error, "{Method} {Path} failed.")]
    private static partial void LogUnexpected(ILogger logger, string method, string path, Exception exception);
}
