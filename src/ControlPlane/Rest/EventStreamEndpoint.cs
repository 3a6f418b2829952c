using System.Globalization;
using System.Security.Claims;
using System.Text.Json;
using Exitless.ControlPlane.Access;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Database;
using Exitless.ControlPlane.Events;
using Exitless.ControlPlane.Rest.Conventions;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Mvc;
using Microsoft.AspNetCore.Routing;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;

namespace Exitless.ControlPlane.Rest;

/// <summary>Events as server-sent events (HTML §9.2). Public, because the API's description is drawn from its comments.</summary>
public static class EventStreamEndpoint
{
    private const string ContentType = "text/event-stream";
    private const string Shown = "id: 4711\nevent: vm-created\ndata: {\"id\":\"01930000-0000-7000-8000-000000000005\",\"kind\":\"vm-created\",…}\n\n";

    private static readonly TimeSpan Silence = TimeSpan.FromSeconds(15);

    internal static void Map(IEndpointRouteBuilder api) =>
        api.MapGet("/events/stream", StreamEvents).WithName(nameof(StreamEvents)).WithTags("Events").ProducesProblem(400).Produces<string>(200, ContentType).Needs(Role.Viewer, Reach.Anywhere)
            .WithExample(200, Shown, null, ("after", "0"), ("most", "1"));

    /// <summary>Streams events as they happen, as server-sent events. Each has an id; whoever sends the last one as 'Last-Event-ID' goes on after it and misses none. Without one it begins with what happens next.</summary>
    /// <param name="hostId">About this host only.</param>
    /// <param name="vmId">About this VM only.</param>
    /// <param name="kind">Of this kind only.</param>
    /// <param name="after">The id to go on after, where the header cannot be sent; 0: from the oldest on.</param>
    /// <param name="most">End after this many, 1 to 1000; none: never.</param>
    /// <param name="lastEventId">The id of the last event that was received.</param>
    /// <param name="context">The request.</param>
    public static async Task StreamEvents(Guid? hostId, Guid? vmId, string? kind, long? after, int? most, [FromHeader(Name = "Last-Event-ID")] string? lastEventId, HttpContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var services = context.RequestServices;
        var (stream, time) = (services.GetRequiredService<EventStream>(), services.GetRequiredService<TimeProvider>());
        var ct = context.RequestAborted;
        var place = await PlaceAsync(stream, after, lastEventId, ct);
        if (most is < 1 or > Cursor.MostListed)
            throw ProblemException.ForField(ProblemKind.Invalid, "most-invalid", "The number is out of range.", "most", $"{most} is not between 1 and {Cursor.MostListed}.");
        var projects = context.Features.Get<Rights>()!.Projects;
        context.Response.ContentType = ContentType;
        context.Response.Headers.CacheControl = "no-cache";
        await context.Response.Body.FlushAsync(ct);
        var (sent, wrote, looked) = (0, time.GetTimestamp(), time.GetTimestamp());
        await foreach (var placed in stream.ReadAsync(place, Chosen, ct))
        {
            if (placed is { Event: var happened })
            {
                await context.Response.WriteAsync($"id: {placed.Place.ToString(CultureInfo.InvariantCulture)}\nevent: {happened.Kind}\ndata: {JsonSerializer.Serialize(happened, JsonFormat.Options)}\n\n", ct);
                wrote = time.GetTimestamp();
                if (++sent == most)
                    return;
            }
            else if (time.GetElapsedTime(wrote) > Silence)
            {
                await context.Response.WriteAsync(": nothing new\n\n", ct);
                wrote = time.GetTimestamp();
            }
            if (time.GetElapsedTime(looked) > LookAtRights)
            {
                // A role that was taken away ends the stream; the next request is refused, or sees less.
                if (!await StillAsync(services, context.User, projects, ct))
                    return;
                looked = time.GetTimestamp();
            }
        }

        IQueryable<EventRow> Chosen(IQueryable<EventRow> rows) => rows
            .Where(e => (hostId == null || e.HostId == hostId) && (vmId == null || e.VmId == vmId) && (kind == null || e.Kind == kind))
            .Where(e => projects == null || (e.ProjectId != null && projects.Contains(e.ProjectId.Value)));
    }

    private static readonly TimeSpan LookAtRights = TimeSpan.FromSeconds(5);

    private static async Task<bool> StillAsync(IServiceProvider services, ClaimsPrincipal user, IReadOnlyCollection<Guid>? projects, CancellationToken ct)
    {
        await using var db = await services.GetRequiredService<IDbContextFactory<ControlPlaneContext>>().CreateDbContextAsync(ct);
        var now = await Rights.OfAsync(db, Actor.From(user).Id ?? Guid.Empty, ct);
        return now.HasAnywhere(Role.Viewer) && (now.Projects is null || (projects is not null && projects.All(now.Projects.Contains)));
    }

    private static async Task<long> PlaceAsync(EventStream stream, long? after, string? lastEventId, CancellationToken ct)
    {
        if (after < 0)
            throw ProblemException.ForField(ProblemKind.Invalid, "place-invalid", "The place is none.", "after", $"{after} is less than 0.");
        if (string.IsNullOrEmpty(lastEventId))
            return after ?? await stream.NewestAsync(ct);
        return long.TryParse(lastEventId, NumberStyles.None, CultureInfo.InvariantCulture, out var last)
            ? last
            : throw ProblemException.ForField(ProblemKind.Invalid, "place-invalid", "The place is none.", "Last-Event-ID", $"'{lastEventId}' is no id of an event of this stream.", "Send the 'id' of the last event that was received, or nothing.");
    }
}
