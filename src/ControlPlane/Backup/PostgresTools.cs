using System.Diagnostics;
using Exitless.ControlPlane.Configuration;
using Exitless.ControlPlane.Database;
using Npgsql;

namespace Exitless.ControlPlane.Backup;

/// <summary>pg_dump, pg_restore and psql of the machine, with the way to the control plane's database in their environment (libpq's variables), so that no password is in a command line.</summary>
internal sealed class PostgresTools(DatabaseServer database, ControlPlaneOptions options)
{
    public Task DumpAsync(IEnumerable<string> arguments, CancellationToken ct) => RunAsync("pg_dump", arguments, "Dumping the database", ct);

    public Task ScriptAsync(IEnumerable<string> arguments, CancellationToken ct) => RunAsync("pg_restore", arguments, "Reading the backup's dump", ct);

    public Task ExecuteAsync(IEnumerable<string> arguments, CancellationToken ct) => RunAsync("psql", arguments, "Writing the database", ct);

    private async Task RunAsync(string name, IEnumerable<string> arguments, string what, CancellationToken ct)
    {
        var file = Path.Combine(PostgresBinaries.Find(options.PostgresBinaries, database.PrivateMajor).Folder, name);
        if (!File.Exists(file))
            throw new StartException($"'{file}' is not there.", "Install PostgreSQL's client programs (apt-get install postgresql-client) of the server's version or newer.");
        var start = new ProcessStartInfo(file, arguments) { UseShellExecute = false, RedirectStandardError = true, RedirectStandardOutput = true, RedirectStandardInput = true };
        var to = new NpgsqlConnectionStringBuilder(database.ConnectionString);
        Set("PGHOST", to.Host);
        Set("PGPORT", to.Port.ToString(System.Globalization.CultureInfo.InvariantCulture));
        Set("PGUSER", to.Username);
        Set("PGPASSWORD", to.Password);
        Set("PGPASSFILE", to.Passfile);
        Set("PGDATABASE", to.Database);
        Set("PGSSLMODE", to.SslMode switch { SslMode.VerifyCA => "verify-ca", SslMode.VerifyFull => "verify-full", var mode => mode.ToString().ToLowerInvariant() });
        Set("PGSSLROOTCERT", to.RootCertificate);
        Set("PGCLIENTENCODING", "UTF8");
        Set("PGTZ", "UTC");
        Set("PGOPTIONS", "-c client_min_messages=warning");
        using var process = Process.Start(start) ?? throw new StartException($"'{file}' did not start.", "Check its permissions.");
        process.StandardInput.Close();
        try
        {
            var output = process.StandardOutput.ReadToEndAsync(ct);
            var errors = process.StandardError.ReadToEndAsync(ct);
            await process.WaitForExitAsync(ct);
            await output;
            if (process.ExitCode != 0)
                throw new StartException($"{what} failed: {(await errors).Trim()}", "The database is as it was. Check that the server answers, that the disk has room, and that the client programs are not older than the server.");
        }
        catch (OperationCanceledException)
        {
            process.Kill();
            throw;
        }

        void Set(string variable, string? value)
        {
            if (!string.IsNullOrEmpty(value))
                start.Environment[variable] = value;
        }
    }
}
