using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Database;
using Microsoft.EntityFrameworkCore;

namespace Exitless.ControlPlane.Audit;

/// <inheritdoc />
internal sealed class AuditLog(IDbContextFactory<ControlPlaneContext> contexts) : IAuditLog
{
    private const int MostListed = 1000;

    public async Task<IReadOnlyList<AuditDto>> ListAsync(AuditFilter filter, CancellationToken ct)
    {
        if (filter.Limit is < 1 or > MostListed)
            throw ProblemException.ForField(ProblemKind.Invalid, "limit-invalid", "The limit is out of range.", "limit", $"{filter.Limit} is not between 1 and {MostListed}.");
        await using var db = await contexts.CreateDbContextAsync(ct);
        var rows = await db.Audit.AsNoTracking()
            .Where(a => (filter.Kind == null || a.Kind == filter.Kind) && (filter.ThingId == null || a.ThingId == filter.ThingId) && (filter.Actor == null || a.Actor == filter.Actor))
            .Where(a => (filter.Action == null || a.Action == filter.Action) && (filter.Before == null || a.Id < filter.Before))
            .OrderByDescending(a => a.Id).Take(filter.Limit).ToListAsync(ct);
        return [.. rows.Select(r => r.ToDto())];
    }
}
