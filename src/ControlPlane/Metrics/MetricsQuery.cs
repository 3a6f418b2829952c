using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Database;
using Microsoft.EntityFrameworkCore;

namespace Exitless.ControlPlane.Metrics;

/// <inheritdoc />
internal sealed class MetricsQuery(DatabaseServer database, IDbContextFactory<ControlPlaneContext> contexts) : IMetricsQuery
{
    /// <summary>Points of one answer: a month by the hour, ten hours of raw rows, a screen many times over.</summary>
    public const int MostPoints = 4000;

    public async Task<IReadOnlyList<SeriesDto>> ListSeriesAsync(Guid vmId, CancellationToken ct)
    {
        var schemas = await SchemasAsync(vmId, ct);
        return [.. schemas.Values.SelectMany(s => s).GroupBy(s => s.Key, StringComparer.Ordinal).Select(g => g.First()).OrderBy(s => s.Key, StringComparer.Ordinal)];
    }

    public async Task<MetricsDto> QueryAsync(MetricsRequest request, CancellationToken ct)
    {
        Check(request);
        var schemas = await SchemasAsync(request.VmId, ct);
        var wanted = schemas.Values.SelectMany(s => s).GroupBy(s => s.Key, StringComparer.Ordinal).Select(g => g.First())
            .Where(s => Matches(s.Key, request.Series)).OrderBy(s => s.Key, StringComparer.Ordinal).ToList();
        var missing = request.Series.Where(p => !schemas.Values.SelectMany(s => s).Any(s => Matches(s.Key, [p]))).ToList();
        if (missing.Count > 0 && schemas.Count > 0)
        {
            throw ProblemException.ForField(ProblemKind.Invalid, "series-unknown", "A series does not exist.", "series", $"The VM has no series {string.Join(", ", missing.Select(m => $"'{m}'"))}.",
                $"List them at /api/v1/vms/{request.VmId:D}/series.");
        }
        // Where each wanted series stands in the rows of each schema; -1: that schema does not have it.
        var columns = schemas.ToDictionary(s => s.Key, s => wanted.Select(w => Find(s.Value, w.Key)).ToArray());
        var rows = await RowsAsync(request, ct);
        return request.Step is { } step ? Stepped(request, step, wanted, columns, rows) : Raw(request, wanted, columns, rows);
    }

    private static MetricsDto Raw(MetricsRequest request, List<SeriesDto> wanted, Dictionary<int, int[]> columns, List<Row> rows) => new(
        request.VmId, request.From, request.To, null, [.. rows.Select(r => r.Time)],
        [.. wanted.Select((s, i) => new MetricSeriesDto(s.Key, s.Kind, s.Unit, [.. rows.Select(r => Value(r, columns, i))]))]);

    /// <summary>The last row of each step stands for it; a counter's rate is taken from the last row of the step before.</summary>
    private static MetricsDto Stepped(MetricsRequest request, TimeSpan step, List<SeriesDto> wanted, Dictionary<int, int[]> columns, List<Row> rows)
    {
        var from = request.From.ToUnixTimeMilliseconds();
        var length = (long)step.TotalMilliseconds;
        // Counters of a VM that was away longer than this say nothing about the steps between.
        var longestGap = 3 * Math.Max(length, 10_000);
        var shown = rows.Where(r => r.Time >= from).ToList();
        var series = new List<MetricSeriesDto>();
        for (var i = 0; i < wanted.Count; i++)
        {
            var values = new List<decimal?>(shown.Count);
            for (int r = 0, at = rows.Count - shown.Count; r < shown.Count; r++, at++)
            {
                var value = Value(rows[at], columns, i);
                if (wanted[i].Kind == SeriesKind.Gauge || value is null)
                {
                    values.Add(value);
                    continue;
                }
                var before = at == 0 ? null : Value(rows[at - 1], columns, i);
                var elapsed = at == 0 ? 0 : rows[at].Time - rows[at - 1].Time;
                // A counter that fell has begun again with a new run, and no rate spans two runs.
                values.Add(before is null || value < before || elapsed <= 0 || elapsed > longestGap ? null : decimal.Round((value.Value - before.Value) * 1000m / elapsed, 6));
            }
            series.Add(new MetricSeriesDto(wanted[i].Key, wanted[i].Kind, wanted[i].Unit, values));
        }
        return new MetricsDto(request.VmId, request.From, request.To, step.TotalSeconds, [.. shown.Select(r => from + ((r.Time - from) / length * length))], series);
    }

    private static decimal? Value(Row row, Dictionary<int, int[]> columns, int series)
    {
        var column = columns[row.Schema][series];
        return column < 0 || column >= row.Values.Length ? null : row.Values[column];
    }

    private async Task<List<Row>> RowsAsync(MetricsRequest request, CancellationToken ct)
    {
        // With a step, one row before the first step too: its rate begins there.
        var from = request.Step is { } s ? request.From - (s < TimeSpan.FromSeconds(30) ? TimeSpan.FromSeconds(30) : s) : request.From;
        var sql = request.Step is null
            ? $"SELECT time, schema_id, values FROM metric_rows WHERE vm_id = $1 AND time >= $2 AND time < $3 ORDER BY time LIMIT {MostPoints + 1}"
            : "SELECT DISTINCT ON (bin) time, schema_id, values, date_bin($4, time, $5) AS bin FROM metric_rows WHERE vm_id = $1 AND time >= $2 AND time < $3 ORDER BY bin, time DESC";
        await using var command = database.Source.CreateCommand(sql);
        command.Parameters.AddWithValue(request.VmId);
        command.Parameters.AddWithValue(from.UtcDateTime);
        command.Parameters.AddWithValue(request.To.UtcDateTime);
        if (request.Step is { } step)
        {
            command.Parameters.AddWithValue(step);
            command.Parameters.AddWithValue(request.From.UtcDateTime);
        }
        var rows = new List<Row>();
        await using var reader = await command.ExecuteReaderAsync(ct);
        while (await reader.ReadAsync(ct))
            rows.Add(new Row(new DateTimeOffset(reader.GetDateTime(0), TimeSpan.Zero).ToUnixTimeMilliseconds(), reader.GetInt32(1), reader.GetFieldValue<long[]>(2)));
        if (request.Step is null && rows.Count > MostPoints)
            throw ProblemException.ForField(ProblemKind.Invalid, "range-too-long", "The range holds too many rows.", "from", $"There are more than {MostPoints} rows from {request.From:u} to {request.To:u}.", "Ask for a shorter range, or give a step.");
        return rows;
    }

    private static void Check(MetricsRequest request)
    {
        var mistakes = new Mistakes();
        if (request.To <= DateTimeOffset.UnixEpoch)
            mistakes.Add("to", $"{request.To:u} lies before 1970.");
        else if (request.From < DateTimeOffset.UnixEpoch)
            mistakes.Add("from", $"{request.From:u} lies before 1970.");
        else if (request.From >= request.To)
            mistakes.Add("from", $"The range begins at {request.From:u} and ends at {request.To:u}.", "'from' must lie before 'to'.");
        if (request.Step is { } step)
        {
            if (step < TimeSpan.FromSeconds(1) || step > TimeSpan.FromDays(1))
                mistakes.Add("step", $"A step of {step.TotalSeconds:0.###} s is not between 1 s and a day.");
            else if ((request.To - request.From) / step > MostPoints)
                mistakes.Add("step", $"{request.To - request.From} by {step.TotalSeconds:0} s is more than {MostPoints} points.", "Take a longer step or a shorter range.");
        }
        mistakes.Throw("metrics-query-invalid", "The metrics cannot be asked for so.");
    }

    private async Task<Dictionary<int, IReadOnlyList<SeriesDto>>> SchemasAsync(Guid vmId, CancellationToken ct)
    {
        await using var db = await contexts.CreateDbContextAsync(ct);
        var schemas = await db.MetricSchemas.AsNoTracking().Where(s => s.VmId == vmId).ToDictionaryAsync(s => s.Id, s => s.Series, ct);
        if (schemas.Count == 0 && !await db.Vms.AnyAsync(v => v.Id == vmId, ct))
            throw ProblemException.NotFound("VM", vmId);
        return schemas;
    }

    private static bool Matches(string key, IReadOnlyList<string> patterns) => patterns.Count == 0 || patterns.Any(p => p.EndsWith('*') ? key.StartsWith(p[..^1], StringComparison.Ordinal) : key == p);

    private static int Find(IReadOnlyList<SeriesDto> series, string key)
    {
        for (var i = 0; i < series.Count; i++)
        {
            if (series[i].Key == key)
                return i;
        }
        return -1;
    }

    private sealed record Row(long Time, int Schema, long[] Values);
}
