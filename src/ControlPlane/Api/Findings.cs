namespace Exitless.ControlPlane.Api;

/// <summary>How bad a finding is, from good to bad.</summary>
public enum FindingSeverity
{
    /// <summary>As it should be.</summary>
    Ok,
    /// <summary>Good to know; nothing is lost by leaving it.</summary>
    Info,
    /// <summary>VMs run, but not as well, or not as safely, as they could.</summary>
    Warning,
    /// <summary>No VM with an assigned device can start.</summary>
    Blocker,
}

/// <summary>A file of the host, and what it said.</summary>
/// <param name="Path">The file.</param>
/// <param name="Value">What was read there, or what matters of it.</param>
public sealed record EvidenceDto(string Path, string Value);

/// <summary>Something that the doctor of a host's agent found. The ids are described in <c>docs/doctor.md</c>.</summary>
/// <param name="HostId">The host.</param>
/// <param name="HostName">That host's name.</param>
/// <param name="Id">Which question it answers, such as <c>iommu-posting</c>; stable.</param>
/// <param name="Subject">The function, unit, node or bug that it is of; null: the whole host.</param>
/// <param name="Severity">How bad it is.</param>
/// <param name="Title">What was found, in words.</param>
/// <param name="Evidence">What it rests on, as read.</param>
/// <param name="Remedy">One command or firmware item; null: none is needed, or none exists.</param>
/// <param name="NeedsReboot">Whether the remedy works at the next boot only.</param>
/// <param name="ReportedAt">When the agent last reported a change of its findings.</param>
public sealed record FindingDto(
    Guid HostId, string HostName, string Id, string? Subject, FindingSeverity Severity, string Title, IReadOnlyList<EvidenceDto> Evidence, string? Remedy, bool NeedsReboot,
    DateTimeOffset ReportedAt);

/// <summary>What the doctors of the agents found.</summary>
public interface IHostFindings
{
    /// <summary>Findings of one host, or of all with null, the worst first; <see cref="ProblemException"/> <c>host-not-found</c>.</summary>
    /// <param name="hostId">Of this host only.</param>
    /// <param name="atLeast">Not those that are less bad.</param>
    /// <param name="ct">Ends the query.</param>
    Task<IReadOnlyList<FindingDto>> ListAsync(Guid? hostId, FindingSeverity atLeast, CancellationToken ct);
}
