using System.Formats.Tar;
using System.Reflection;
using Exitless.ControlPlane.Configuration;
using Exitless.ControlPlane.Database;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;

namespace Exitless.ControlPlane.Backup;

/// <summary>
/// Writes a backup: one tar archive with a manifest, the CA, and a dump of the database as it was at one instant (pg_dump takes a snapshot, so the
/// control plane goes on meanwhile). Whoever has the archive can be any host: only its owner can read it.
/// </summary>
internal sealed class BackupWriter(DatabaseServer database, IOptions<ControlPlaneOptions> options, IDbContextFactory<ControlPlaneContext> contexts, TimeProvider time)
{
    private static readonly TimeSpan ProgressPeriod = TimeSpan.FromSeconds(2);

    /// <param name="path">The archive. It is whole or not there: a file of that name is replaced at the end.</param>
    /// <param name="metrics">Whether metric rows are taken too; they are most of a database.</param>
    /// <param name="progress">Is told how far it is, a line at a time.</param>
    /// <returns>The archive's size in bytes.</returns>
    public async Task<long> WriteAsync(string path, bool metrics, Action<string> progress, CancellationToken ct)
    {
        var folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        if (!Directory.Exists(folder))
            throw new StartException($"The folder '{folder}' is not there.", "Make it, or give another path by --to.");
        var authority = Path.Combine(options.Value.DataFolder, "authority");
        if (BackupManifest.AuthorityFiles.FirstOrDefault(f => !File.Exists(Path.Combine(authority, f))) is { } missing)
            throw new StartException($"'{Path.Combine(authority, missing)}' is not there: this data folder has no CA, and so no agents.", "Give the control plane's own data folder by Exitless__DataFolder.");
        var (dump, draft) = (path + ".dump.new", path + ".new");
        try
        {
            await using var db = await contexts.CreateDbContextAsync(ct);
            var migration = (await db.Database.GetAppliedMigrationsAsync(ct)).Last();
            var manifest = new BackupManifest(BackupManifest.CurrentFormat, time.GetUtcNow(), Assembly.GetExecutingAssembly().GetName().Version!.ToString(3), migration, metrics);
            await using (NewFile(dump))
            {
                // Made first, so that what pg_dump writes is nobody else's to read either.
            }
            await DumpAsync(dump, metrics, progress, ct);
            await using (var file = NewFile(draft))
            {
                await using var tar = new TarWriter(file, TarEntryFormat.Pax, leaveOpen: true);
                using (var json = new MemoryStream(manifest.ToJson()))
                    await tar.WriteEntryAsync(new PaxTarEntry(TarEntryType.RegularFile, BackupManifest.Entry) { DataStream = json, ModificationTime = manifest.TakenAt }, ct);
                foreach (var name in BackupManifest.AuthorityFiles)
                    await tar.WriteEntryAsync(Path.Combine(authority, name), BackupManifest.AuthorityFolder + name, ct);
                await tar.WriteEntryAsync(dump, BackupManifest.DatabaseEntry, ct);
                file.Flush(flushToDisk: true);
            }
            File.Move(draft, path, overwrite: true);
            return new FileInfo(path).Length;
        }
        finally
        {
            File.Delete(dump);
            File.Delete(draft);
        }
    }

    private async Task DumpAsync(string dump, bool metrics, Action<string> progress, CancellationToken ct)
    {
        string[] without = metrics ? [] : ["--exclude-table-data=metric_rows*"];
        var work = new PostgresTools(database, options.Value).DumpAsync(["--format=custom", "--no-owner", "--no-privileges", "--schema=public", .. without, $"--file={dump}"], ct);
        using var timer = new PeriodicTimer(ProgressPeriod, time);
        while (await Task.WhenAny(work, timer.WaitForNextTickAsync(ct).AsTask()) != work)
            progress($"{new FileInfo(dump).Length >> 20} MiB dumped (compressed)");
        await work;
    }

    private static FileStream NewFile(string path)
    {
        File.Delete(path);
        return new FileStream(path, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite });
    }
}
