using System.Globalization;
using System.Text;
using Exitless.ControlPlane.Database;
using Microsoft.EntityFrameworkCore;

namespace Exitless.ControlPlane.Metrics;

/// <summary>How long each host has owed what is wanted of it: the age of its oldest operation that is not over; 0: it owes nothing.</summary>
internal sealed class ReconcileAges(IDbContextFactory<ControlPlaneContext> contexts, TimeProvider time)
{
    public async Task WriteAsync(StringBuilder page, CancellationToken ct)
    {
        await using var db = await contexts.CreateDbContextAsync(ct);
        var oldest = await db.Operations.Where(o => o.FinishedAt == null).GroupBy(o => o.HostId).Select(g => new { g.Key, At = g.Min(o => o.CreatedAt) }).ToDictionaryAsync(g => g.Key, g => g.At, ct);
        var hosts = await db.Hosts.AsNoTracking().Where(h => h.RevokedAt == null).OrderBy(h => h.Name).Select(h => new { h.Id, h.Name }).ToListAsync(ct);
        page.Append("# HELP exitless_reconcile_age_seconds How long a host has owed what is wanted of it; 0: it owes nothing.\n# TYPE exitless_reconcile_age_seconds gauge\n");
        foreach (var host in hosts)
        {
            var age = oldest.TryGetValue(host.Id, out var at) ? (time.GetUtcNow() - at).TotalSeconds : 0;
            page.Append(CultureInfo.InvariantCulture, $"exitless_reconcile_age_seconds{{host=\"{PrometheusText.Escape(host.Name)}\"}} {Math.Max(0, age):0.###}\n");
        }
    }
}
