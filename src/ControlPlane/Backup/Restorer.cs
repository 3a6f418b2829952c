using System.Formats.Tar;
using System.Text.Json;
using Exitless.ControlPlane.Configuration;
using Exitless.ControlPlane.Database;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;
using Npgsql;

namespace Exitless.ControlPlane.Backup;

/// <summary>
/// Restores a backup, all of it or nothing: the tables in one transaction, the CA by renaming. Afterwards every host hands over what it was last
/// told before anything is wanted of it (<see cref="Link.StoredStateIntake"/>), so that no VM made since the backup is touched.
/// </summary>
internal sealed class Restorer(DatabaseServer database, IOptions<ControlPlaneOptions> options, IDbContextFactory<ControlPlaneContext> contexts, TimeProvider time)
{
    // A dump of the schema makes all of it again; partitions go with their table.
    private const string Clear = """
        DO $$ DECLARE t record; BEGIN
          FOR t IN SELECT c.oid::regclass AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition LOOP
            EXECUTE format('DROP TABLE IF EXISTS %s CASCADE', t.name);
          END LOOP;
        END $$
        """;

    private const string Certificate = "ca.crt";

    private string Authority => Path.Combine(options.Value.DataFolder, "authority");

    /// <param name="path">A backup.</param>
    /// <param name="replace">Whether a database that holds something, and another CA, may be replaced.</param>
    /// <param name="progress">Is told how far it is, a line at a time.</param>
    /// <returns>What the backup says of itself, and how many hosts are in it.</returns>
    public async Task<(BackupManifest Manifest, int Hosts)> RestoreAsync(string path, bool replace, Action<string> progress, CancellationToken ct)
    {
        var folder = Path.Combine(options.Value.DataFolder, "restore.new");
        try
        {
            var manifest = await UnpackAsync(path, folder, ct);
            progress($"The backup was taken at {manifest.TakenAt:u} by version {manifest.Version}{(manifest.Metrics ? "" : ", without metrics")}.");
            await CheckAsync(manifest, folder, replace, ct);
            progress("Writing the database.");
            await WriteAsync(folder, ct);
            await using var db = await contexts.CreateDbContextAsync(ct);
            await db.Database.MigrateAsync(ct);
            var hosts = await RestoreMark.TakeAsync(db, time, ct);
            PlaceAuthority(folder);
            return (manifest, hosts);
        }
        finally
        {
            if (Directory.Exists(folder))
                Directory.Delete(folder, recursive: true);
        }
    }

    private static async Task<BackupManifest> UnpackAsync(string path, string folder, CancellationToken ct)
    {
        if (!File.Exists(path))
            throw new StartException($"The backup '{path}' is not there.", "Give the file that 'backup --to' wrote.");
        if (Directory.Exists(folder))
            Directory.Delete(folder, recursive: true);
        Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        string[] wanted = [BackupManifest.Entry, .. BackupManifest.AuthorityFiles.Select(f => BackupManifest.AuthorityFolder + f), BackupManifest.DatabaseEntry];
        var found = new HashSet<string>(StringComparer.Ordinal);
        try
        {
            await using var file = File.OpenRead(path);
            await using var tar = new TarReader(file);
            while (await tar.GetNextEntryAsync(cancellationToken: ct) is { } entry)
            {
                if (!wanted.Contains(entry.Name, StringComparer.Ordinal))
                    continue;
                await entry.ExtractToFileAsync(Path.Combine(folder, Path.GetFileName(entry.Name)), overwrite: true, ct);
                found.Add(entry.Name);
            }
            if (wanted.FirstOrDefault(w => !found.Contains(w)) is { } missing)
                throw new InvalidDataException($"it has no '{missing}'");
            await using var json = File.OpenRead(Path.Combine(folder, BackupManifest.Entry));
            return BackupManifest.Parse(json);
        }
        catch (Exception e) when (e is InvalidDataException or JsonException or EndOfStreamException or FormatException)
        {
            throw new StartException($"'{path}' is no whole backup: {e.Message}.", "Give the file that 'backup --to' wrote; compare its size with the original's.", e);
        }
    }

    private async Task CheckAsync(BackupManifest manifest, string folder, bool replace, CancellationToken ct)
    {
        await using var db = await contexts.CreateDbContextAsync(ct);
        if (manifest.Format != BackupManifest.CurrentFormat || !db.Database.GetMigrations().Contains(manifest.Migration, StringComparer.Ordinal))
            throw new StartException($"The backup was made by version {manifest.Version} (format {manifest.Format}, tables of {manifest.Migration}), which this program does not know.", "Install that version or a newer one, then restore.");
        var others = await OthersAsync(ct);
        if (others > 0)
            throw new StartException($"The database has {others} other sessions: a control plane, or another program, uses it.", "Stop every control plane of this database first, and end other sessions.");
        var hosts = await HostsAsync(ct);
        if (hosts > 0 && !replace)
            throw new StartException($"The database holds a fleet already (hosts: {hosts}).", "Add --replace to put the backup in its place; take a backup of it first.");
        if (!replace && File.Exists(Path.Combine(Authority, Certificate)) && !HasAuthorityOf(folder))
            throw new StartException("The data folder has another CA than the backup.", "Add --replace to put the backup's in its place; agents that pinned the present one will not come back then.");
    }

    private async Task<long> OthersAsync(CancellationToken ct)
    {
        // Our own idle sessions are not others.
        database.Source.Clear();
        await using var count = database.Source.CreateCommand("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()");
        return (long)(await count.ExecuteScalarAsync(ct))!;
    }

    private async Task<long> HostsAsync(CancellationToken ct)
    {
        await using var count = database.Source.CreateCommand("SELECT count(*) FROM hosts");
        try
        {
            return (long)(await count.ExecuteScalarAsync(ct))!;
        }
        catch (PostgresException e) when (e.SqlState == PostgresErrorCodes.UndefinedTable)
        {
            return 0;
        }
    }

    private async Task WriteAsync(string folder, CancellationToken ct)
    {
        var tools = new PostgresTools(database, options.Value);
        var script = Path.Combine(folder, "database.sql");
        await tools.ScriptAsync(["--schema=public", "--no-owner", "--no-privileges", $"--file={script}", Path.Combine(folder, BackupManifest.DatabaseEntry)], ct);
        await tools.ExecuteAsync(["--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", $"--command={Clear}", $"--file={script}", $"--command={RestoreMark.Make}"], ct);
    }

    private void PlaceAuthority(string folder)
    {
        if (HasAuthorityOf(folder))
            return;
        DataFolder.Make(Authority);
        // Certificates of another CA's server side are of no use; they are made again at the start.
        foreach (var old in Directory.GetFiles(Authority))
            File.Move(old, old + ".before-restore", overwrite: true);
        foreach (var name in BackupManifest.AuthorityFiles.Reverse())
            DataFolder.WriteSecret(Path.Combine(Authority, name), File.ReadAllText(Path.Combine(folder, name)));
    }

    private bool HasAuthorityOf(string folder) =>
        File.Exists(Path.Combine(Authority, Certificate)) && File.ReadAllText(Path.Combine(Authority, Certificate)) == File.ReadAllText(Path.Combine(folder, Certificate));
}
