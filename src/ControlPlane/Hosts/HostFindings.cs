using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Database;
using Microsoft.EntityFrameworkCore;

namespace Exitless.ControlPlane.Hosts;

/// <summary>A doctor's newest report, as it is stored with its host.</summary>
internal sealed record StoredReport(DateTimeOffset ReportedAt, IReadOnlyList<StoredFinding> Findings);

/// <summary>One finding of it.</summary>
internal sealed record StoredFinding(string Id, string? Subject, FindingSeverity Severity, string Title, IReadOnlyList<EvidenceDto> Evidence, string? Remedy, bool NeedsReboot);

/// <inheritdoc />
internal sealed class HostFindings(IDbContextFactory<ControlPlaneContext> contexts) : IHostFindings
{
    public async Task<IReadOnlyList<FindingDto>> ListAsync(Guid? hostId, FindingSeverity atLeast, CancellationToken ct)
    {
        await using var db = await contexts.CreateDbContextAsync(ct);
        var hosts = await db.Hosts.AsNoTracking().Where(h => hostId == null || h.Id == hostId).OrderBy(h => h.Name).ThenBy(h => h.Id).Select(h => new { h.Id, h.Name, h.Report }).ToListAsync(ct);
        if (hostId is { } id && hosts.Count == 0)
            throw ProblemException.NotFound("Host", id);
        // Stable: within a severity by host, and as the doctor told them.
        return [.. hosts
            .SelectMany(h => (h.Report?.Findings ?? []).Where(f => f.Severity >= atLeast)
                .Select(f => new FindingDto(h.Id, h.Name, f.Id, f.Subject, f.Severity, f.Title, f.Evidence, f.Remedy, f.NeedsReboot, h.Report!.ReportedAt)))
            .OrderByDescending(f => f.Severity)];
    }
}
