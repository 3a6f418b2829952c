using Exitless.ControlPlane.Api;

namespace Exitless.ControlPlane.Events;

/// <summary>Something that happened, as it is stored.</summary>
internal sealed class EventRow
{
    public required Guid Id { get; init; }

    /// <summary>Given by the database when it is written; events are written one transaction after the other, so that places rise in the order of commits.</summary>
    public long Place { get; init; }

    public required DateTimeOffset Time { get; init; }

    public required string Kind { get; init; }

    public required EventSeverity Severity { get; init; }

    public required string Message { get; init; }

    public Guid? HostId { get; init; }

    public string? HostName { get; init; }

    public Guid? VmId { get; init; }

    public string? VmName { get; init; }

    public string? Device { get; init; }

    public string? Actor { get; init; }

    public Guid? ProjectId { get; set; }

    public EventDto ToDto() => new(Id, Time, Kind, Severity, Message, HostId, HostName, VmId, VmName, Device, Actor, ProjectId);
}
