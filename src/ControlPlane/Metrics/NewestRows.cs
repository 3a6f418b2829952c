using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Database;
using Microsoft.EntityFrameworkCore;

namespace Exitless.ControlPlane.Metrics;

/// <summary>The newest stored row of every VM that has a fresh one.</summary>
internal sealed class NewestRows(DatabaseServer database, IDbContextFactory<ControlPlaneContext> contexts, TimeProvider time)
{
    // A row comes every ten seconds. A VM whose rows have stopped is absent, and its scraper sees it as stale, rather than frozen.
    private static readonly TimeSpan Fresh = TimeSpan.FromSeconds(60);

    public async Task<IReadOnlyList<NewestRow>> ReadAsync(IReadOnlyDictionary<Guid, string> hosts, CancellationToken ct)
    {
        await using var db = await contexts.CreateDbContextAsync(ct);
        var vms = await db.Vms.AsNoTracking().ToDictionaryAsync(vm => vm.Id, ct);
        var found = new List<(Guid Vm, int Schema, long[] Values)>();
        await using (var command = database.Source.CreateCommand("SELECT DISTINCT ON (vm_id) vm_id, schema_id, values FROM metric_rows WHERE time > $1 ORDER BY vm_id, time DESC"))
        {
            command.Parameters.AddWithValue((time.GetUtcNow() - Fresh).UtcDateTime);
            await using var reader = await command.ExecuteReaderAsync(ct);
            while (await reader.ReadAsync(ct))
                found.Add((reader.GetGuid(0), reader.GetInt32(1), reader.GetFieldValue<long[]>(2)));
        }
        var wanted = found.Select(row => row.Schema).Distinct().ToList();
        var schemas = await db.MetricSchemas.AsNoTracking().Where(schema => wanted.Contains(schema.Id)).ToDictionaryAsync(schema => schema.Id, schema => schema.Series, ct);
        return [.. found.Where(row => vms.ContainsKey(row.Vm) && schemas.ContainsKey(row.Schema)).Select(row => Name(row, vms[row.Vm].Name, hosts.GetValueOrDefault(vms[row.Vm].HostId, ""), schemas[row.Schema]))
            .OrderBy(row => row.HostName, StringComparer.Ordinal).ThenBy(row => row.VmName, StringComparer.Ordinal)];
    }

    private static NewestRow Name((Guid Vm, int Schema, long[] Values) row, string vm, string host, IReadOnlyList<SeriesDto> series)
    {
        var values = new SortedDictionary<string, long>(StringComparer.Ordinal);
        for (var i = 0; i < Math.Min(series.Count, row.Values.Length); i++)
            values[series[i].Key] = row.Values[i];
        return new NewestRow(row.Vm, vm, host, values);
    }
}
