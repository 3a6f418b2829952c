using Exitless.ControlPlane.Access;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Rest.Conventions;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;

namespace Exitless.ControlPlane.Rest;

/// <summary>Operations and events. Public, because the API's description is drawn from its comments.</summary>
public static class OperationEndpoints
{
    internal static void Map(IEndpointRouteBuilder api)
    {
        var operations = api.MapGroup("/operations").WithTags("Operations");
        operations.MapGet("", ListOperations).WithName(nameof(ListOperations)).Needs(Role.Viewer, Reach.Anywhere).ProducesProblem(400)
            .IsStoredList<OperationDto>(o => [o.Id.ToString("D")]).WithExample(200, new[] { Example.Operation(OperationKind.StartVm, $"Start VM {Example.VmName} on {Example.HostName}") }, null, ("active", "true"), ("limit", "50"));
        operations.MapGet("/{operationId:guid}", GetOperation).WithName(nameof(GetOperation)).Needs(Role.Viewer, Reach.Project).ProducesProblem(400).ProducesProblem(404)
            .WithExample(200, Example.Operation(OperationKind.StartVm, $"Start VM {Example.VmName} on {Example.HostName}"), null, ("wait", "0"));
        operations.MapPost("/{operationId:guid}/actions/cancel", CancelOperation).WithName(nameof(CancelOperation)).Needs(Role.Operator, Reach.Project).ProducesProblem(404).ProducesProblem(409)
            .Changes(Resources.Operation).WithExample(200, Example.Operation(OperationKind.StartVm, $"Start VM {Example.VmName} on {Example.HostName}"));
        api.MapGet("/events", ListEvents).WithName(nameof(ListEvents)).Needs(Role.Viewer, Reach.Anywhere).WithTags("Events").ProducesProblem(400)
            .IsStoredList<EventDto>(e => [e.Id.ToString("D")]).WithExample(200, new[] { Example.Event }, null, ("kind", "vm-created"), ("limit", "50"));
    }

    /// <summary>Lists operations, the newest first.</summary>
    /// <param name="hostId">Of this host only.</param>
    /// <param name="vmId">Of this VM only.</param>
    /// <param name="active">True: unfinished only; false: finished only.</param>
    /// <param name="kind">Of this kind only.</param>
    /// <param name="state">In this state only.</param>
    /// <param name="limit">At most this many, 1 to 1000; default 100. A 'Link' header with rel="next" leads to the next page.</param>
    /// <param name="cursor">Where the page begins, from the 'next' link of the page before.</param>
    /// <param name="operations">The operations.</param>
    /// <param name="context">The request.</param>
    /// <param name="ct">Ends with the request.</param>
    public static async Task<Ok<IReadOnlyList<OperationDto>>> ListOperations(Guid? hostId, Guid? vmId, bool? active, string? kind, string? state, int? limit, string? cursor, IOperationLog operations, HttpContext context, CancellationToken ct) =>
        TypedResults.Ok(await operations.ListAsync(new OperationFilter(hostId, vmId, active, limit ?? ListPage.StoredPage, Named<OperationKind>("kind", kind), Named<OperationState>("state", state), Cursor.ReadId(nameof(ListOperations), cursor), Projects(context)), ct));

    /// <summary>Shows one operation, at once or as soon as it has ended.</summary>
    /// <param name="operationId">The operation's id.</param>
    /// <param name="wait">Seconds to wait for its end, 0 to 300.</param>
    /// <param name="operations">The operations.</param>
    /// <param name="ct">Ends with the request.</param>
    public static async Task<Ok<OperationDto>> GetOperation(Guid operationId, int? wait, IOperationLog operations, CancellationToken ct)
    {
        ArgumentNullException.ThrowIfNull(operations);
        return TypedResults.Ok(wait is { } seconds ? await operations.WaitAsync(operationId, TimeSpan.FromSeconds(Answers.Checked(seconds)), ct) : await operations.GetAsync(operationId, ct));
    }

    /// <summary>Takes an operation back, as long as its host has not taken up what cannot be undone.</summary>
    /// <param name="operationId">The operation's id.</param>
    /// <param name="operations">The operations.</param>
    /// <param name="context">The request.</param>
    public static async Task<Ok<OperationDto>> CancelOperation(Guid operationId, IOperationLog operations, HttpContext context) =>
        TypedResults.Ok(await operations.CancelAsync(operationId, Actor.From(context.User), context.RequestAborted));

    /// <summary>Lists events, the newest first.</summary>
    /// <param name="hostId">About this host only.</param>
    /// <param name="vmId">About this VM only.</param>
    /// <param name="before">Older than this event only: the last id of the page before.</param>
    /// <param name="kind">Of this kind only.</param>
    /// <param name="severity">Of this severity only: info, warning or error.</param>
    /// <param name="limit">At most this many, 1 to 1000; default 100. A 'Link' header with rel="next" leads to the next page.</param>
    /// <param name="cursor">Where the page begins, from the 'next' link of the page before.</param>
    /// <param name="events">The events.</param>
    /// <param name="context">The request.</param>
    /// <param name="ct">Ends with the request.</param>
    public static async Task<Ok<IReadOnlyList<EventDto>>> ListEvents(Guid? hostId, Guid? vmId, Guid? before, string? kind, string? severity, int? limit, string? cursor, IEventLog events, HttpContext context, CancellationToken ct) =>
        TypedResults.Ok(await events.ListAsync(new EventFilter(hostId, vmId, Cursor.ReadId(nameof(ListEvents), cursor) ?? before, limit ?? ListPage.StoredPage, kind, Named<EventSeverity>("severity", severity), Projects(context)), ct));

    private static IReadOnlyCollection<Guid>? Projects(HttpContext context) => context.Features.Get<Rights>()!.Projects;

    private static T? Named<T>(string field, string? text)
        where T : struct, Enum => MemberFilter.Named<T>(field, text);
}
