using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Database;
using Exitless.ControlPlane.Link;
using Npgsql;

namespace Exitless.ControlPlane.Fleet;

/// <inheritdoc cref="IFleetOverview" />
internal sealed class FleetOverview : IFleetOverview, IDisposable
{
    private const int MostBusy = 10;
    private static readonly TimeSpan Kept = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan BusyKept = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Fresh = TimeSpan.FromMinutes(1);

    private readonly DatabaseServer _database;
    private readonly LinkRegistry _links;
    private readonly TimeProvider _time;
    private readonly IDisposable _subscription;
    private readonly SemaphoreSlim _reading = new(1);
    private Reading? _last;
    private IReadOnlyList<BusyVmDto> _busy = [];
    private DateTimeOffset _busyAt;
    private long _changes;

    public FleetOverview(DatabaseServer database, LinkRegistry links, IChangeFeed feed, TimeProvider time)
    {
        (_database, _links, _time) = (database, links, time);
        _subscription = feed.Subscribe(_ => Interlocked.Increment(ref _changes));
    }

    public async Task<FleetDto> GetAsync(bool hasty, CancellationToken ct)
    {
        if (IsGood(_last))
            return _last!.Fleet;
        // Changes come in floods, and with each all who look; the fleet is counted once for all of a second's.
        if (!hasty && _last is { } last && last.At + Kept - _time.GetUtcNow() is var rest && rest > TimeSpan.Zero)
            await Task.Delay(rest, _time, ct);
        await _reading.WaitAsync(ct);
        try
        {
            if (IsGood(_last))
                return _last!.Fleet;
            var (now, changes) = (_time.GetUtcNow(), Interlocked.Read(ref _changes));
            if (now - _busyAt >= BusyKept)
                (_busy, _busyAt) = (await BusyAsync(now, ct), now);
            _last = new Reading(await ReadAsync(now, ct), now, changes);
            return _last.Fleet;
        }
        finally
        {
            _reading.Release();
        }
    }

    public void Dispose()
    {
        _subscription.Dispose();
        _reading.Dispose();
    }

    private bool IsGood(Reading? reading) =>
        reading is not null && _time.GetUtcNow() - reading.At < Kept && reading.Changes == Interlocked.Read(ref _changes);

    private async Task<FleetDto> ReadAsync(DateTimeOffset now, CancellationToken ct)
    {
        await using var batch = _database.Source.CreateBatch();
        var hosts = new NpgsqlBatchCommand($"SELECT {FleetSql.HostState}, count(*), coalesce(sum(jsonb_array_length(h.facts->'onlineCpus')), 0), coalesce(sum((h.facts->>'memoryBytes')::bigint), 0)::bigint FROM hosts h GROUP BY 1");
        hosts.Parameters.Add(new NpgsqlParameter<Guid[]>("linked", [.. _links.Connected]));
        batch.BatchCommands.Add(hosts);
        batch.BatchCommands.Add(new NpgsqlBatchCommand("SELECT state, count(*), sum(vcpus), sum(memory_mib::bigint)::bigint FROM vms GROUP BY 1"));
        batch.BatchCommands.Add(new NpgsqlBatchCommand($"SELECT count(*), count(*) FILTER (WHERE {FleetSql.Free}) FROM {FleetSql.Owned} WHERE d.pf_address IS NOT NULL"));
        batch.BatchCommands.Add(new NpgsqlBatchCommand("SELECT f.value->>'severity', count(*) FROM hosts h CROSS JOIN LATERAL jsonb_array_elements(h.report->'findings') f(value) WHERE h.revoked_at IS NULL GROUP BY 1"));
        var day = new NpgsqlBatchCommand("SELECT kind, severity, count(*) FROM events WHERE id >= @since GROUP BY 1, 2 ORDER BY 3 DESC, 1");
        // Ids are UUIDs of version 7: they begin with their time, so those of the last day are a range of the primary key.
        day.Parameters.AddWithValue("since", TimedId.First(now - TimeSpan.FromDays(1)));
        batch.BatchCommands.Add(day);

        var (byHost, byVm, findings, events) = (new Dictionary<string, int>(StringComparer.Ordinal), new Dictionary<VmState, int>(), new Dictionary<FindingSeverity, int>(), new List<EventCountDto>());
        var (cpus, memory, vcpus, vmMemory) = (0L, 0L, 0L, 0L);
        await using var reader = await batch.ExecuteReaderAsync(ct);
        while (await reader.ReadAsync(ct))
        {
            byHost[reader.GetString(0)] = (int)reader.GetInt64(1);
            if (reader.GetString(0) == "revoked")
                continue;
            (cpus, memory) = (cpus + reader.GetInt64(2), memory + reader.GetInt64(3));
        }
        await reader.NextResultAsync(ct);
        while (await reader.ReadAsync(ct))
        {
            var state = Enum.Parse<VmState>(reader.GetString(0));
            byVm[state] = (int)reader.GetInt64(1);
            if (state is VmState.Running or VmState.Stopping)
                (vcpus, vmMemory) = (vcpus + reader.GetInt64(2), vmMemory + (reader.GetInt64(3) << 20));
        }
        await reader.NextResultAsync(ct);
        await reader.ReadAsync(ct);
        var (vfs, free) = ((int)reader.GetInt64(0), (int)reader.GetInt64(1));
        await reader.NextResultAsync(ct);
        while (await reader.ReadAsync(ct))
            findings[Enum.Parse<FindingSeverity>(reader.GetString(0), ignoreCase: true)] = (int)reader.GetInt64(1);
        await reader.NextResultAsync(ct);
        while (await reader.ReadAsync(ct))
            events.Add(new EventCountDto(reader.GetString(0), Enum.Parse<EventSeverity>(reader.GetString(1)), (int)reader.GetInt64(2)));
        return new FleetDto(byHost, byVm, vfs, free, (int)cpus, (int)vcpus, memory, vmMemory, findings, _busy, events);
    }

    private async Task<IReadOnlyList<BusyVmDto>> BusyAsync(DateTimeOffset now, CancellationToken ct)
    {
        await using var command = _database.Source.CreateCommand("""
            WITH newest AS (SELECT DISTINCT ON (vm_id) vm_id, schema_id, values FROM metric_rows WHERE time > @since ORDER BY vm_id, time DESC)
            SELECT v.id, v.name, h.id, h.name, n.values[at.n]
            FROM newest n JOIN vms v ON v.id = n.vm_id JOIN hosts h ON h.id = v.host_id JOIN metric_schemas s ON s.id = n.schema_id
            CROSS JOIN LATERAL (SELECT x.n FROM jsonb_array_elements(s.series) WITH ORDINALITY x(value, n) WHERE x.value->>'key' = 'grade.exits_per_1000_interrupts') at
            WHERE n.values[at.n] >= 0 ORDER BY 5 DESC, 2 LIMIT @most
            """);
        command.Parameters.AddWithValue("since", (now - Fresh).UtcDateTime);
        command.Parameters.AddWithValue("most", MostBusy);
        var busy = new List<BusyVmDto>();
        await using var reader = await command.ExecuteReaderAsync(ct);
        while (await reader.ReadAsync(ct))
            busy.Add(new BusyVmDto(reader.GetGuid(0), reader.GetString(1), reader.GetGuid(2), reader.GetString(3), reader.GetInt64(4) / 1000.0));
        return busy;
    }

    private sealed record Reading(FleetDto Fleet, DateTimeOffset At, long Changes);
}
