using System.Diagnostics;
using System.Globalization;

namespace Exitless.Benchmarks.Dashboard;

/// <summary>VMs that stand in the database alone, spread over its hosts: a list of them is read as any other's, and nothing has to run for it.</summary>
internal static class ManyVms
{
    /// <param name="data">The control plane's data folder, whose private PostgreSQL runs.</param>
    /// <param name="count">How many.</param>
    public static async Task InsertAsync(string data, int count)
    {
        var psql = Directory.GetFiles("/usr/lib/postgresql", "psql", SearchOption.AllDirectories).Order(StringComparer.Ordinal).Last();
        var sql = string.Create(CultureInfo.InvariantCulture, $"""
            INSERT INTO vms (id, host_id, name, vcpus, memory_mib, kernel, command_line, stop_seconds, created_at, desired, generation, state, observed_generation, steps, deleting, guest_counts)
            SELECT gen_random_uuid(), h.ids[1 + n % array_length(h.ids, 1)], 'many-' || lpad(n::text, 6, '0'), 1 + n % 8, 512 * (1 + n % 16), 'debian-12.vmlinuz', '', 30, now() - n * interval '1 second', 'Stopped', 0,
                   (ARRAY['Stopped', 'Failed', 'Unknown'])[1 + n % 3], 0, '[]', false, false
            FROM generate_series(1, {count}) n, (SELECT array_agg(id) AS ids FROM hosts) h;
            ANALYZE vms;
            """);
        var start = new ProcessStartInfo(psql, ["-h", Path.Combine(data, "postgres"), "-U", "exitless", "-d", "exitless", "-v", "ON_ERROR_STOP=1", "-q", "-c", sql]) { RedirectStandardError = true, UseShellExecute = false };
        using var process = Process.Start(start) ?? throw new InvalidOperationException($"{psql} did not start");
        var errors = await process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        if (process.ExitCode != 0)
            throw new InvalidOperationException($"psql ended with {process.ExitCode}: {errors}");
    }
}
