using System.Collections.Concurrent;
using System.Threading.Channels;
using Exitless.Contracts;
using Exitless.ControlPlane.Configuration;
using Exitless.ControlPlane.Database;
using Exitless.ControlPlane.Link;
using Grpc.Core;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Npgsql;
using NpgsqlTypes;

namespace Exitless.ControlPlane.Metrics;

/// <summary>Rows of one VM that an agent wants stored.</summary>
internal sealed record MetricBatch(HostLink Link, Guid VmId, RowSchema Schema, IReadOnlyList<SampleRow> Rows);

/// <summary>
/// Stores metric rows: what has come together in a moment goes by one binary COPY in one transaction, and only then is the agent told. An agent that
/// was not told sends again, so a row may come twice and is stored once.
/// </summary>
internal sealed partial class MetricsWriter(DatabaseServer database, MetricPartitions partitions, IOptions<ControlPlaneOptions> options, ServerMetrics own, TimeProvider time, ILogger<MetricsWriter> logger) : BackgroundService
{
    private const int MostWaiting = 1024;
    private const int MostTogether = 1000;

    private readonly Channel<MetricBatch> _batches = Channel.CreateBounded<MetricBatch>(new BoundedChannelOptions(MostWaiting) { SingleReader = true });
    private readonly ConcurrentDictionary<(Guid Vm, RowSchema Schema), int> _schemas = new();

    /// <summary>Takes rows to store; waits while too many are waiting, which slows the agent down.</summary>
    public ValueTask WriteAsync(MetricBatch batch, CancellationToken ct) => _batches.Writer.WriteAsync(batch, ct);

    /// <summary>Time of the newest stored row of each VM of a host that has rows, Unix milliseconds.</summary>
    public async Task<List<(Guid VmId, long Through)>> ThroughAsync(Guid hostId, CancellationToken ct)
    {
        await using var command = database.Source.CreateCommand("SELECT v.id, newest.time FROM vms v CROSS JOIN LATERAL (SELECT max(time) AS time FROM metric_rows WHERE vm_id = v.id) newest WHERE v.host_id = $1 AND newest.time IS NOT NULL");
        command.Parameters.AddWithValue(hostId);
        var through = new List<(Guid, long)>();
        await using var reader = await command.ExecuteReaderAsync(ct);
        while (await reader.ReadAsync(ct))
            through.Add((reader.GetGuid(0), new DateTimeOffset(reader.GetDateTime(1), TimeSpan.Zero).ToUnixTimeMilliseconds()));
        return through;
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var together = new List<MetricBatch>();
        while (await _batches.Reader.WaitToReadAsync(stoppingToken))
        {
            together.Clear();
            while (together.Count < MostTogether && _batches.Reader.TryRead(out var batch))
            {
                // Rows of a link that was closed come again on the next one.
                if (!batch.Link.Closed.IsCancellationRequested && batch.Rows.Count > 0)
                    together.Add(batch);
            }
            try
            {
                await StoreAsync(together, stoppingToken);
                foreach (var batch in together)
                    own.Stored(time.GetUtcNow() - LinkMapping.Time(batch.Rows[^1].Time));
                foreach (var batches in together.GroupBy(b => b.Link))
                    Acknowledge(batches.Key, [.. batches.Select(b => new SampleAck { VmId = b.VmId.ToString("D"), Through = b.Rows[^1].Time })]);
            }
            catch (Exception e) when (DatabaseTrouble.Is(e) || e is InvalidOperationException or IOException)
            {
                // A later batch must not acknowledge what this one has lost: the agents dial again and hear what is stored.
                LogFailed(logger, together.Count, e);
                _schemas.Clear();
                partitions.Forget();
                foreach (var link in together.Select(b => b.Link).Distinct())
                    link.Close(StatusCode.Unavailable, "The metrics could not be stored; dial again.");
            }
        }
    }

    private static void Acknowledge(HostLink link, List<SampleAck> acks)
    {
        if (link.TakesAcks && acks.Count > 1)
        {
            link.Send(new ControlMessage { Acks = new SampleAcks { Acks = { acks } } });
            return;
        }
        foreach (var ack in acks)
            link.Send(new ControlMessage { Ack = ack });
    }

    private async Task StoreAsync(List<MetricBatch> batches, CancellationToken ct)
    {
        var rows = new List<(Guid Vm, DateTime Time, int Schema, long[] Values)>();
        await EnsureSchemasAsync(batches, ct);
        foreach (var batch in batches)
        {
            var schema = _schemas[(batch.VmId, batch.Schema)];
            foreach (var row in batch.Rows)
            {
                var at = LinkMapping.Time(row.Time).UtcDateTime;
                if (row.Values.Count != batch.Schema.Series.Count || !MetricPartitions.Keeps(at, time.GetUtcNow().UtcDateTime, options.Value.MetricsDays))
                    LogRefused(logger, batch.Link.HostName, batch.VmId, at, row.Values.Count, batch.Schema.Series.Count);
                else
                    rows.Add((batch.VmId, at, schema, [.. row.Values]));
            }
        }
        if (rows.Count == 0)
            return;
        foreach (var day in rows.Select(r => DateOnly.FromDateTime(r.Time)).Distinct())
            await partitions.EnsureAsync(day, ct);
        try
        {
            await CopyAsync(rows, ct);
        }
        catch (PostgresException e) when (e.SqlState == PostgresErrorCodes.UniqueViolation)
        {
            // Some have come before: row by row, those that are there stay as they are.
            await InsertAsync(rows, ct);
        }
    }

    private async Task CopyAsync(List<(Guid Vm, DateTime Time, int Schema, long[] Values)> rows, CancellationToken ct)
    {
        await using var connection = await database.Source.OpenConnectionAsync(ct);
        await using var import = await connection.BeginBinaryImportAsync("COPY metric_rows (vm_id, time, schema_id, values) FROM STDIN (FORMAT BINARY)", ct);
        foreach (var (vm, at, schema, values) in rows)
        {
            await import.StartRowAsync(ct);
            await import.WriteAsync(vm, NpgsqlDbType.Uuid, ct);
            await import.WriteAsync(at, NpgsqlDbType.TimestampTz, ct);
            await import.WriteAsync(schema, NpgsqlDbType.Integer, ct);
            await import.WriteAsync(values, NpgsqlDbType.Array | NpgsqlDbType.Bigint, ct);
        }
        await import.CompleteAsync(ct);
    }

    private async Task InsertAsync(List<(Guid Vm, DateTime Time, int Schema, long[] Values)> rows, CancellationToken ct)
    {
        await using var batch = database.Source.CreateBatch();
        foreach (var (vm, at, schema, values) in rows)
        {
            var command = new NpgsqlBatchCommand("INSERT INTO metric_rows (vm_id, time, schema_id, values) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING");
            command.Parameters.AddWithValue(vm);
            command.Parameters.AddWithValue(at);
            command.Parameters.AddWithValue(schema);
            command.Parameters.AddWithValue(values);
            batch.BatchCommands.Add(command);
        }
        await batch.ExecuteNonQueryAsync(ct);
    }

    private async Task EnsureSchemasAsync(List<MetricBatch> batches, CancellationToken ct)
    {
        var missing = batches.Select(b => (b.VmId, b.Schema)).Distinct().Where(k => !_schemas.ContainsKey(k)).ToList();
        if (missing.Count == 0)
            return;
        // The update changes nothing; it makes an existing row give its id.
        await using var command = database.Source.CreateCommand("""
            INSERT INTO metric_schemas (vm_id, hash, series) SELECT DISTINCT ON (1, 2) * FROM unnest($1, $2, $3) ORDER BY 1, 2
            ON CONFLICT (vm_id, hash) DO UPDATE SET hash = excluded.hash RETURNING id, vm_id, hash
            """);
        command.Parameters.AddWithValue(missing.Select(k => k.VmId).ToArray());
        command.Parameters.AddWithValue(missing.Select(k => k.Schema.Hash).ToArray());
        command.Parameters.AddWithValue(NpgsqlDbType.Array | NpgsqlDbType.Jsonb, missing.Select(k => k.Schema.Json).ToArray());
        var ids = new Dictionary<(Guid, string), int>();
        await using (var reader = await command.ExecuteReaderAsync(ct))
        {
            while (await reader.ReadAsync(ct))
                ids[(reader.GetGuid(1), Convert.ToHexString(reader.GetFieldValue<byte[]>(2)))] = reader.GetInt32(0);
        }
        foreach (var key in missing)
            _schemas[key] = ids[(key.VmId, Convert.ToHexString(key.Schema.Hash))];
    }

    [LoggerMessage(1501, LogLevel.Error, "{Batches} batches of metrics could not be stored.")]
    private static partial void LogFailed(ILogger logger, int batches, Exception exception);

    [LoggerMessage(1502, LogLevel.Warning, "A metric row of {HostName}, VM {Vm}, at {Time:u} with {Values} values for {Series} series is not stored: too old, of the future, or of another shape.")]
    private static partial void LogRefused(ILogger logger, string hostName, Guid vm, DateTime time, int values, int series);
}
