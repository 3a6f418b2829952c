using Exitless.Simulator;
using Npgsql;
using NpgsqlTypes;

namespace Exitless.Benchmarks.Fleet;

/// <summary>The control plane's own database, beside it: VMs are written here as their creation would, and what is stored is counted.</summary>
internal sealed class FleetDatabase(string data) : IAsyncDisposable
{
    private static readonly Guid DefaultProject = new("00000000-0000-7000-8000-000000000001");

    private readonly NpgsqlDataSource _source = NpgsqlDataSource.Create(new NpgsqlConnectionStringBuilder
    {
        Host = Path.Combine(data, "postgres"),
        Username = "exitless",
        Database = "exitless",
        CommandTimeout = 600,
        MaxPoolSize = 4,
    });

    public string Cluster { get; } = Path.Combine(data, "postgres");

    public ValueTask DisposeAsync() => _source.DisposeAsync();

    /// <summary>Writes the VMs of hosts that have enrolled and have not dialled yet, each with its VFs; the hosts are told of them when they dial.</summary>
    /// <param name="hosts">Ids and machines.</param>
    /// <param name="vms">VMs of each.</param>
    /// <param name="vfs">VFs of each VM.</param>
    public async Task WriteVmsAsync(IReadOnlyList<(Guid Id, SimulatedHost Host)> hosts, int vms, int vfs)
    {
        await using var connection = await _source.OpenConnectionAsync();
        await using var transaction = await connection.BeginTransactionAsync();
        var made = hosts.SelectMany(h => Enumerable.Range(0, vms).Select(i => (Id: Guid.CreateVersion7(), h.Host, HostId: h.Id, Number: i))).ToList();
        await using (var import = await connection.BeginBinaryImportAsync(
            "COPY vms (id, host_id, project_id, name, vcpus, memory_mib, kernel, initrd, command_line, stop_seconds, created_at, desired, deleting, generation, state, observed_generation, steps, interrupts, guest_counts) FROM STDIN (FORMAT BINARY)"))
        {
            foreach (var vm in made)
            {
                await import.StartRowAsync();
                await import.WriteAsync(vm.Id);
                await import.WriteAsync(vm.HostId);
                await import.WriteAsync(DefaultProject);
                await import.WriteAsync($"{vm.Host.Name}-vm-{vm.Number + 1}");
                await import.WriteAsync(1);
                await import.WriteAsync(512 * (1 + vm.Number % 4));
                await import.WriteAsync("debian-12.vmlinuz");
                await import.WriteAsync("debian-12.initrd");
                await import.WriteAsync("console=ttyS0");
                await import.WriteAsync(30);
                await import.WriteAsync(TimeProvider.System.GetUtcNow().UtcDateTime, NpgsqlDbType.TimestampTz);
                await import.WriteAsync("Running");
                await import.WriteAsync(false);
                await import.WriteAsync(1L);
                await import.WriteAsync("Unknown");
                await import.WriteAsync(0L);
                await import.WriteAsync("[]", NpgsqlDbType.Jsonb);
                await import.WriteAsync("Auto");
                await import.WriteAsync(false);
            }
            await import.CompleteAsync();
        }
        await using (var import = await connection.BeginBinaryImportAsync("COPY vm_devices (vm_id, host_id, address, position) FROM STDIN (FORMAT BINARY)"))
        {
            foreach (var vm in made)
            {
                for (var vf = 0; vf < vfs; vf++)
                {
                    await import.StartRowAsync();
                    await import.WriteAsync(vm.Id);
                    await import.WriteAsync(vm.HostId);
                    await import.WriteAsync(vm.Host.Vfs[vm.Number * vfs + vf]);
                    await import.WriteAsync(vf);
                }
            }
            await import.CompleteAsync();
        }
        await using (var want = new NpgsqlCommand("UPDATE hosts SET wanted_generation = 1 WHERE id = ANY($1)", connection, transaction))
        {
            want.Parameters.AddWithValue(hosts.Select(h => h.Id).ToArray());
            await want.ExecuteNonQueryAsync();
        }
        await transaction.CommitAsync();
        await ExecuteAsync("ANALYZE vms; ANALYZE vm_devices; ANALYZE hosts; ANALYZE devices");
    }

    /// <summary>VMs that the control plane says are running.</summary>
    public Task<long> RunningAsync() => NumberAsync("SELECT count(*) FROM vms WHERE state = 'Running'");

    /// <summary>Stored rows of a time, the first and the last included.</summary>
    public Task<long> RowsAsync(DateTimeOffset from, DateTimeOffset to) => NumberAsync("SELECT count(*) FROM metric_rows WHERE time >= $1 AND time <= $2", from.UtcDateTime, to.UtcDateTime);

    /// <summary>One number.</summary>
    public async Task<long> NumberAsync(string sql, params object[] values)
    {
        await using var command = _source.CreateCommand(sql);
        foreach (var value in values)
            command.Parameters.AddWithValue(value);
        return Convert.ToInt64(await command.ExecuteScalarAsync(), System.Globalization.CultureInfo.InvariantCulture);
    }

    public async Task ExecuteAsync(string sql)
    {
        await using var command = _source.CreateCommand(sql);
        await command.ExecuteNonQueryAsync();
    }

    public ValueTask<NpgsqlConnection> OpenAsync() => _source.OpenConnectionAsync();
}
