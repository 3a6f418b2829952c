using System.Globalization;
using Exitless.Run.Stack;
using Exitless.Simulator;

namespace Exitless.Benchmarks.Fleet;

/// <summary>How fast rows can be stored: over the agents' links, and the same rows by nothing but a COPY into a table that has the same columns, index and partition.</summary>
/// <param name="Rows">How many, over the links and by COPY.</param>
/// <param name="Stream">Rows a second from the first that is sent to the last that is committed.</param>
/// <param name="Copy">Rows a second of the bare COPY, one transaction.</param>
/// <param name="Stored">Whether the table has all rows that were sent.</param>
/// <param name="BytesOfValue">Disk for one value of one series, with the index and the schemas.</param>
internal sealed record IngestFigures(long Rows, int RowsOfMessage, double Stream, double Copy, bool Stored, CpuShares StreamCpu, CpuShares CopyCpu, double BytesOfRow, double BytesOfValue)
{
    private const int PeriodSeconds = 10;
    // A message of an agent holds 60 rows at most.
    private const int MostRowsOfMessage = 60;
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(5);

    /// <param name="run">The fleet's control plane.</param>
    /// <param name="fleets">All hosts; nothing else is sent meanwhile.</param>
    /// <param name="vms">Their running VMs.</param>
    /// <param name="atLeast">Rows to send, at the least.</param>
    public static async Task<IngestFigures> MeasureAsync(FleetRun run, IReadOnlyList<SimulatedFleet> fleets, int vms, int atLeast)
    {
        foreach (var fleet in fleets)
            fleet.SendsRows = false;
        try
        {
            await SettleAsync(run);
            var first = await run.Database.NumberAsync("SELECT pg_current_xact_id()::text::bigint");
            var each = Math.Clamp((atLeast + vms - 1) / vms, 1, MostRowsOfMessage);
            var (acks, before, began) = (run.Acks.Acks, run.Processes.Cpu(), TimeProvider.System.GetTimestamp());
            var sent = 0L;
            var messages = 0L;
            foreach (var host in fleets.SelectMany(f => f.Hosts))
            {
                var rows = host.SendBacklog(TimeSpan.FromSeconds(each * PeriodSeconds));
                (sent, messages) = (sent + rows, messages + host.RunningVms);
            }
            using (var pulse = new PeriodicTimer(TimeSpan.FromMilliseconds(20)))
            {
                while (run.Acks.Acks - acks < messages && TimeProvider.System.GetElapsedTime(began) < Limit)
                    await pulse.WaitForNextTickAsync();
            }
            var seconds = TimeProvider.System.GetElapsedTime(began).TotalSeconds;
            var streamCpu = FleetProcesses.Between(before, run.Processes.Cpu(), seconds);
            await SettleAsync(run);
            var stored = await run.Database.NumberAsync("SELECT count(*) FROM metric_rows WHERE xmin::text::bigint >= $1", first);
            var (copied, copySeconds, copyCpu) = await CopyAsync(run, first);
            var bytes = await run.Database.NumberAsync("SELECT sum(pg_total_relation_size(inhrelid)) + pg_total_relation_size('metric_schemas') FROM pg_inherits WHERE inhparent = 'metric_rows'::regclass");
            var rowsThere = await run.Database.NumberAsync("SELECT count(*) FROM metric_rows");
            var values = await run.Database.NumberAsync("SELECT sum(cardinality(values)) FROM metric_rows");
            return new IngestFigures(sent, each, sent / seconds, copied / copySeconds, stored == sent, streamCpu, copyCpu, (double)bytes / rowsThere, (double)bytes / values);
        }
        finally
        {
            foreach (var fleet in fleets)
                fleet.SendsRows = true;
        }
    }

    public string Words => string.Create(CultureInfo.InvariantCulture, $"{Rows} rows, {RowsOfMessage} in a message: {Stream:0} rows/s over the links, {Copy:0} rows/s by COPY");

    // What is under way has been committed when no acknowledgement comes for two seconds.
    private static Task SettleAsync(FleetRun run)
    {
        var last = -1L;
        var same = 0;
        return Eventually.HoldsAsync("nothing is under way", Limit, () =>
        {
            same = run.Acks.Acks == last ? same + 1 : 0;
            last = run.Acks.Acks;
            return Task.FromResult(same >= 8);
        }, CancellationToken.None);
    }

    /// <summary>The rows as the server has them on the wire are read into memory first, so that nothing but the COPY is timed.</summary>
    private static async Task<(long Rows, double Seconds, CpuShares Cpu)> CopyAsync(FleetRun run, long first)
    {
        await run.Database.ExecuteAsync("DROP TABLE IF EXISTS bare_rows");
        await run.Database.ExecuteAsync("CREATE TABLE bare_rows (LIKE metric_rows INCLUDING ALL) PARTITION BY RANGE (time)");
        await run.Database.ExecuteAsync("CREATE TABLE bare_rows_all PARTITION OF bare_rows DEFAULT");
        try
        {
            await using var connection = await run.Database.OpenAsync();
            using var bytes = new MemoryStream();
            await using (var export = await connection.BeginRawBinaryCopyAsync($"COPY (SELECT vm_id, time, schema_id, values FROM metric_rows WHERE xmin::text::bigint >= {first}) TO STDOUT (FORMAT BINARY)"))
                await export.CopyToAsync(bytes);
            var (before, began) = (run.Processes.Cpu(), TimeProvider.System.GetTimestamp());
            await using (var import = await connection.BeginRawBinaryCopyAsync("COPY bare_rows (vm_id, time, schema_id, values) FROM STDIN (FORMAT BINARY)"))
            {
                bytes.Position = 0;
                await bytes.CopyToAsync(import);
            }
            var seconds = TimeProvider.System.GetElapsedTime(began).TotalSeconds;
            var cpu = FleetProcesses.Between(before, run.Processes.Cpu(), seconds);
            return (await run.Database.NumberAsync("SELECT count(*) FROM bare_rows"), seconds, cpu);
        }
        finally
        {
            await run.Database.ExecuteAsync("DROP TABLE bare_rows");
        }
    }
}
