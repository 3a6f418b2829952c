using System.Text.Json;
using Exitless.ControlPlane.Rest;
using Microsoft.AspNetCore.Http;

namespace Exitless.ControlPlane.Idempotency;

/// <summary>An answer as bytes, to be given again.</summary>
/// <param name="Status">HTTP status.</param>
/// <param name="Location">The header; null: none.</param>
/// <param name="Body">JSON; empty: none.</param>
internal sealed record StoredAnswer(int Status, string? Location, byte[] Body) : IResult
{
    /// <summary>Says that this answer was given before (draft-ietf-httpapi-idempotency-key-header leaves the name to the server).</summary>
    public const string ReplayedHeader = "Idempotency-Replayed";

    public static StoredAnswer From(object? result)
    {
        var status = (result as IStatusCodeHttpResult)?.StatusCode ?? StatusCodes.Status200OK;
        var value = (result as IValueHttpResult)?.Value;
        return From(status, result?.GetType().GetProperty("Location")?.GetValue(result)?.ToString(), value);
    }

    public static StoredAnswer From(int status, string? location, object? value) =>
        new(status, location, value is null ? [] : JsonSerializer.SerializeToUtf8Bytes(value, value.GetType(), JsonFormat.Options));

    public async Task ExecuteAsync(HttpContext httpContext)
    {
        httpContext.Response.StatusCode = Status;
        httpContext.Response.Headers[ReplayedHeader] = "true";
        if (Location is not null)
            httpContext.Response.Headers.Location = Location;
        if (Body.Length == 0)
            return;
        httpContext.Response.ContentType = "application/json; charset=utf-8";
        httpContext.Response.ContentLength = Body.Length;
        await httpContext.Response.Body.WriteAsync(Body, httpContext.RequestAborted);
    }
}
