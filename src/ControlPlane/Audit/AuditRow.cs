using System.Text.Json.Nodes;
using Exitless.ControlPlane.Api;

namespace Exitless.ControlPlane.Audit;

/// <summary>A change that somebody made, as it is stored. Names are copied: it outlives what it tells of.</summary>
internal sealed class AuditRow
{
    public required Guid Id { get; init; }

    public required DateTimeOffset Time { get; init; }

    public required string Actor { get; init; }

    public required Guid? ActorId { get; init; }

    public required AuditAction Action { get; init; }

    public required string Kind { get; init; }

    public required string ThingId { get; init; }

    public required string ThingName { get; init; }

    public required Guid? ProjectId { get; init; }

    public JsonObject? Before { get; init; }

    public JsonObject? After { get; init; }

    public AuditDto ToDto() => new(Id, Time, Actor, ActorId, Action, Kind, ThingId, ThingName, ProjectId, Before, After);
}
