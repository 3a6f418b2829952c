using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Database;
using Microsoft.EntityFrameworkCore;

namespace Exitless.ControlPlane.Events;

/// <inheritdoc />
internal sealed class EventLog(IDbContextFactory<ControlPlaneContext> contexts) : IEventLog
{
    private const int MostListed = 1000;

    public async Task<IReadOnlyList<EventDto>> ListAsync(EventFilter filter, CancellationToken ct)
    {
        if (filter.Limit is < 1 or > MostListed)
            throw ProblemException.ForField(ProblemKind.Invalid, "limit-invalid", "The limit is out of range.", "limit", $"{filter.Limit} is not between 1 and {MostListed}.");
        await using var db = await contexts.CreateDbContextAsync(ct);
        var all = db.Events.AsNoTracking();
        if (filter.Projects is { } projects)
            all = all.Where(e => e.ProjectId != null && projects.Contains(e.ProjectId.Value));
        var rows = await all
            .Where(e => (filter.HostId == null || e.HostId == filter.HostId) && (filter.VmId == null || e.VmId == filter.VmId) && (filter.Before == null || e.Id < filter.Before))
            .Where(e => (filter.Kind == null || e.Kind == filter.Kind) && (filter.Severity == null || e.Severity == filter.Severity))
            .OrderByDescending(e => e.Id).Take(filter.Limit).ToListAsync(ct);
        return [.. rows.Select(r => r.ToDto())];
    }
}
