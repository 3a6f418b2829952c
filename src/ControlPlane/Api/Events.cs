namespace Exitless.ControlPlane.Api;

/// <summary>How much an event matters.</summary>
public enum EventSeverity
{
    /// <summary>As it should be.</summary>
    Info,
    /// <summary>Somebody should look at it.</summary>
    Warning,
    /// <summary>Something failed.</summary>
    Error,
}

/// <summary>Something that happened.</summary>
/// <param name="Id">Its id; ids rise with time.</param>
/// <param name="Time">When it happened.</param>
/// <param name="Kind">Stable, for programs, such as <c>host-connected</c> or <c>vm-ended</c>.</param>
/// <param name="Severity">How much it matters.</param>
/// <param name="Message">One sentence.</param>
/// <param name="HostId">The host it is about.</param>
/// <param name="HostName">That host's name.</param>
/// <param name="VmId">The VM it is about.</param>
/// <param name="VmName">That VM's name.</param>
/// <param name="Device">The PCI address it is about.</param>
/// <param name="Actor">Who brought it about; null: the host itself.</param>
/// <param name="ProjectId">The project of its VM; null: it is about no VM.</param>
public sealed record EventDto(
    Guid Id, DateTimeOffset Time, string Kind, EventSeverity Severity, string Message,
    Guid? HostId, string? HostName, Guid? VmId, string? VmName, string? Device, string? Actor, Guid? ProjectId = null);

/// <summary>Which events to list, the newest first.</summary>
/// <param name="HostId">Of this host only.</param>
/// <param name="VmId">Of this VM only.</param>
/// <param name="Before">Older than this event only: the last id of the page before.</param>
/// <param name="Limit">At most this many, 1 to 1000.</param>
/// <param name="Kind">Of this kind only.</param>
/// <param name="Severity">Of this severity only.</param>
/// <param name="Projects">About VMs in these projects only; null: about all, and about hosts too.</param>
public sealed record EventFilter(Guid? HostId = null, Guid? VmId = null, Guid? Before = null, int Limit = 100, string? Kind = null, EventSeverity? Severity = null, IReadOnlyCollection<Guid>? Projects = null);

/// <summary>What happened, the newest first.</summary>
public interface IEventLog
{
    /// <summary>Events, the newest first.</summary>
    Task<IReadOnlyList<EventDto>> ListAsync(EventFilter filter, CancellationToken ct);
}
