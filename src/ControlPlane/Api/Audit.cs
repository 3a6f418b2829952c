using System.Text.Json.Nodes;

namespace Exitless.ControlPlane.Api;

/// <summary>What was done to a thing.</summary>
public enum AuditAction
{
    /// <summary>It was made.</summary>
    Created,
    /// <summary>It was changed.</summary>
    Changed,
    /// <summary>It was removed.</summary>
    Deleted,
}

/// <summary>A change that somebody made: who, of what, from what to what.</summary>
/// <param name="Id">Its id; ids rise with time.</param>
/// <param name="Time">When.</param>
/// <param name="Actor">Who, as people read it.</param>
/// <param name="ActorId">The id of the person or token; null: somebody with a shell on the control plane's machine.</param>
/// <param name="Action">What was done.</param>
/// <param name="Kind">What kind of thing: vm, vm-device, pf, host, operation, project, grant, person, api-token, enrolment-token, webhook.</param>
/// <param name="ThingId">The thing's id.</param>
/// <param name="ThingName">The thing's name.</param>
/// <param name="ProjectId">The project that it is in; null: none.</param>
/// <param name="Before">The members that changed, as they were; null: it was made.</param>
/// <param name="After">The members that changed, as they are; null: it was removed.</param>
public sealed record AuditDto(
    Guid Id, DateTimeOffset Time, string Actor, Guid? ActorId, AuditAction Action, string Kind, string ThingId, string ThingName, Guid? ProjectId, JsonObject? Before, JsonObject? After);

/// <summary>Which changes to list, the newest first.</summary>
/// <param name="Kind">Of this kind of thing only.</param>
/// <param name="ThingId">Of this thing only.</param>
/// <param name="Actor">By this actor only.</param>
/// <param name="Action">Of this action only.</param>
/// <param name="Before">Older than this only: the last id of the page before.</param>
/// <param name="Limit">At most this many, 1 to 1000.</param>
public sealed record AuditFilter(string? Kind = null, string? ThingId = null, string? Actor = null, AuditAction? Action = null, Guid? Before = null, int Limit = 100);

/// <summary>Who changed what.</summary>
public interface IAuditLog
{
    /// <summary>Changes, the newest first.</summary>
    Task<IReadOnlyList<AuditDto>> ListAsync(AuditFilter filter, CancellationToken ct);
}
