using System.Collections.Concurrent;
using System.Globalization;
using Exitless.ControlPlane.Database;
using Npgsql;

namespace Exitless.ControlPlane.Metrics;

/// <summary>The days of the metrics table: made before they are written to, dropped when nobody keeps them any longer.</summary>
internal sealed class MetricPartitions(DatabaseServer database)
{
    private const string Prefix = "metric_rows_";
    private const string Day = "yyyyMMdd";

    private readonly ConcurrentDictionary<DateOnly, bool> _made = new();

    /// <summary>Whether a row of this time is one to keep: not older than the retention, nor more than a day ahead, which no clock is.</summary>
    public static bool Keeps(DateTime at, DateTime now, int days) => at > now.AddDays(-days) && at < now.AddDays(1);

    public async Task EnsureAsync(DateOnly day, CancellationToken ct)
    {
        if (_made.ContainsKey(day))
            return;
        var name = Prefix + day.ToString(Day, CultureInfo.InvariantCulture);
        try
        {
            await using var command = database.Source.CreateCommand(
                $"CREATE TABLE IF NOT EXISTS {name} PARTITION OF metric_rows FOR VALUES FROM ('{day:yyyy-MM-dd} 00:00:00+00') TO ('{day.AddDays(1):yyyy-MM-dd} 00:00:00+00')");
            await command.ExecuteNonQueryAsync(ct);
        }
        catch (PostgresException e) when (e.SqlState is PostgresErrorCodes.DuplicateTable or PostgresErrorCodes.UniqueViolation)
        {
            // Another made it at the same moment.
        }
        _made[day] = true;
    }

    /// <summary>Drops every day that ended before <paramref name="oldest"/>.</summary>
    public async Task<int> DropBeforeAsync(DateOnly oldest, CancellationToken ct)
    {
        var names = new List<string>();
        await using (var list = database.Source.CreateCommand("SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'metric_rows'::regclass"))
        {
            await using var reader = await list.ExecuteReaderAsync(ct);
            while (await reader.ReadAsync(ct))
                names.Add(reader.GetString(0));
        }
        var dropped = 0;
        foreach (var name in names)
        {
            if (!name.StartsWith(Prefix, StringComparison.Ordinal) || !DateOnly.TryParseExact(name[Prefix.Length..], Day, CultureInfo.InvariantCulture, DateTimeStyles.None, out var day) || day >= oldest)
                continue;
            await using var drop = database.Source.CreateCommand($"DROP TABLE {name}");
            await drop.ExecuteNonQueryAsync(ct);
            _made.TryRemove(day, out _);
            dropped++;
        }
        return dropped;
    }

    public void Forget() => _made.Clear();
}
