using System.Security.Cryptography;
using System.Text;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Exitless.ControlPlane.Database;

/// <summary>
/// A PostgreSQL of the control plane's own: made by the machine's binaries, reached through a Unix socket only, by peer authentication.
/// It outlives a control plane that is killed, and the next one takes it over.
/// </summary>
internal sealed partial class PrivatePostgres
{
    /// <summary>sockaddr_un.sun_path holds 108 bytes with its terminator (unix(7)); the name of the socket itself takes 14 of them.</summary>
    private const int LongestSocketFolder = 107 - 15;

    private const string Role = "exitless";

    private readonly ILogger _logger;
    private readonly TimeProvider _time;
    private readonly PostgresAccount _account;
    private readonly PostgresBinaries _binaries;
    private readonly string _cluster;
    private readonly string _sockets;
    private readonly bool _durable;

    private PrivatePostgres(ILogger logger, TimeProvider time, PostgresAccount account, PostgresBinaries binaries, string cluster, string sockets, bool durable)
    {
        (_logger, _time, _account, _binaries, _cluster, _sockets, _durable) = (logger, time, account, binaries, cluster, sockets, durable);
    }

    /// <summary>The folder with the cluster's files.</summary>
    public string Cluster => _cluster;

    /// <summary>Its major version.</summary>
    public int Major => _binaries.Major;

    /// <summary>Connection string of one of its databases.</summary>
    public string ConnectionString(string database) => new NpgsqlConnectionStringBuilder
    {
        Host = _sockets,
        Username = Role,
        Database = database,
        MaxPoolSize = 40,
        ApplicationName = "exitless",
        IncludeErrorDetail = true,
    }.ConnectionString;

    /// <summary>Makes the cluster when there is none, takes over a running server, or starts one.</summary>
    public static async Task<PrivatePostgres> StartAsync(string dataFolder, string? binariesFolder, bool durable, TimeProvider time, ILogger logger, CancellationToken ct)
    {
        var account = PostgresAccount.Choose();
        var cluster = await PlaceAsync(account, dataFolder, logger, ct);
        var versionFile = Path.Combine(cluster, "PG_VERSION");
        int? major = File.Exists(versionFile) && int.TryParse((await File.ReadAllTextAsync(versionFile, ct)).Trim(), out var made) ? made : null;
        var binaries = PostgresBinaries.Find(binariesFolder, major);
        var sockets = cluster.Length <= LongestSocketFolder ? cluster : $"/tmp/exitless-postgres-{Digest(cluster)}";
        var server = new PrivatePostgres(logger, time, account, binaries, cluster, sockets, durable);
        if (major is null)
            await server.MakeClusterAsync(ct);
        if (sockets != cluster)
            await account.MakeFolderAsync(sockets, ct);
        if (server.RunningProcess() is { } process)
            LogAdopted(logger, process, cluster);
        else
            await server.LaunchAsync(ct);
        await server.WaitUntilReadyAsync(ct);
        return server;
    }

    /// <summary>Makes a database when it is not there yet; with a template, as a copy of that one.</summary>
    public async Task EnsureDatabaseAsync(string name, string? template, CancellationToken ct)
    {
        await using var connection = new NpgsqlConnection(ConnectionString("postgres") + ";Pooling=false");
        await connection.OpenAsync(ct);
        await using var find = new NpgsqlCommand("SELECT 1 FROM pg_database WHERE datname = $1", connection);
        find.Parameters.AddWithValue(name);
        if (await find.ExecuteScalarAsync(ct) is not null)
            return;
        await using var make = new NpgsqlCommand($"CREATE DATABASE \"{name}\"{(template is null ? "" : $" TEMPLATE \"{template}\"")}", connection);
        await make.ExecuteNonQueryAsync(ct);
    }

    /// <summary>Ends every session and stops the server.</summary>
    public async Task StopAsync(CancellationToken ct)
    {
        var (code, output) = await _account.RunAsync(_binaries.PgCtl, ["stop", "-D", _cluster, "-m", "fast", "-w", "-t", "30"], ct);
        if (code == 0)
            LogStopped(_logger, _cluster);
        else
            LogNotStopped(_logger, _cluster, output);
    }

    /// <summary>The server's process id, when one runs on this cluster.</summary>
    internal int? RunningProcess()
    {
        var file = Path.Combine(_cluster, "postmaster.pid");
        if (!File.Exists(file) || !int.TryParse(File.ReadLines(file).FirstOrDefault(), out var process))
            return null;
        // The number alone may belong to anybody by now; a server's working directory is its cluster.
        var working = new FileInfo($"/proc/{process}/cwd");
        return Directory.Exists($"/proc/{process}") && working.LinkTarget == _cluster ? process : null;
    }

    /// <summary>In the data folder; or, when root's data folder cannot be entered by the server's user, under /var/lib, which outlives restarts and cleaners.</summary>
    private static async Task<string> PlaceAsync(PostgresAccount account, string dataFolder, ILogger logger, CancellationToken ct)
    {
        if (await account.CanEnterAsync(dataFolder, ct))
            return Path.Combine(dataFolder, "postgres");
        var elsewhere = $"/var/lib/exitless-postgres/{Digest(dataFolder)}";
        Directory.CreateDirectory(elsewhere);
        await File.WriteAllTextAsync(Path.Combine(dataFolder, "postgres.location"), elsewhere + "\n", ct);
        LogElsewhere(logger, account.User, dataFolder, elsewhere);
        return Path.Combine(elsewhere, "postgres");
    }

    private async Task MakeClusterAsync(CancellationToken ct)
    {
        // Made beside and renamed: a start that was interrupted leaves no half-made cluster.
        var draft = _cluster + ".new";
        if (Directory.Exists(draft))
            Directory.Delete(draft, recursive: true);
        await _account.MakeFolderAsync(draft, ct);
        string[] arguments = ["-D", draft, "-U", Role, "-E", "UTF8", "--locale=C.UTF-8", "-A", "peer", .. _durable ? Array.Empty<string>() : ["--no-sync"]];
        var (code, output) = await _account.RunAsync(_binaries.InitDb, arguments, ct);
        if (code != 0)
            throw new StartException($"initdb of PostgreSQL {_binaries.Major} failed: {output}.", $"Check the free space and permissions of '{Path.GetDirectoryName(_cluster)}'.");
        await File.WriteAllTextAsync(Path.Combine(draft, "pg_hba.conf"), $"# Only through the Unix socket, only as the users in pg_ident.conf.\nlocal all {Role} peer map={Role}\n", ct);
        Directory.Move(draft, _cluster);
        LogMade(_logger, _binaries.Major, _cluster);
    }

    private async Task LaunchAsync(CancellationToken ct)
    {
        var users = new[] { Environment.UserName, _account.User }.Distinct(StringComparer.Ordinal).Select(u => $"{Role} \"{u}\" {Role}\n");
        await File.WriteAllTextAsync(Path.Combine(_cluster, "pg_ident.conf"), string.Concat(users), ct);
        await File.WriteAllTextAsync(Path.Combine(_cluster, "postgresql.auto.conf"), Settings(), ct);
        // A number that another process has by now would make the server believe that it runs already.
        File.Delete(Path.Combine(_cluster, "postmaster.pid"));
        var output = "";
        // After a server was killed its last sessions may hold the shared memory for a moment longer.
        for (var attempt = 0; attempt < 10; attempt++)
        {
            (var code, output) = await _account.RunAsync(_binaries.PgCtl, ["start", "-D", _cluster, "-w", "-t", "60", "-s", "-l", Path.Combine(_cluster, "start.log")], ct);
            if (code == 0)
            {
                LogStarted(_logger, _binaries.Major, _cluster, RunningProcess() ?? 0);
                return;
            }
            await Task.Delay(TimeSpan.FromSeconds(1), _time, ct);
        }
        throw new StartException($"The private PostgreSQL in '{_cluster}' does not start: {output}.", $"Read '{Path.Combine(_cluster, "start.log")}' and '{Path.Combine(_cluster, "log")}'.");
    }

    private string Settings()
    {
        var settings = new StringBuilder("# Written by the control plane at every start.\n")
            .Append("listen_addresses = ''\n")
            .Append($"unix_socket_directories = '{_sockets.Replace("'", "''", StringComparison.Ordinal)}'\n")
            .Append("unix_socket_permissions = 0700\n")
            .Append("port = 5432\n")
            .Append("max_connections = 100\n")
            .Append("shared_buffers = '64MB'\n")
            .Append("jit = off\n")
            .Append("logging_collector = on\nlog_directory = 'log'\nlog_filename = 'postgresql-%a.log'\nlog_truncate_on_rotation = on\nlog_rotation_age = '1d'\nlog_rotation_size = 0\n")
            .Append("timezone = 'UTC'\nlog_timezone = 'UTC'\n");
        if (!_durable)
            settings.Append("fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n");
        return settings.ToString();
    }

    private async Task WaitUntilReadyAsync(CancellationToken ct)
    {
        var begin = _time.GetTimestamp();
        while (true)
        {
            try
            {
                await using var connection = new NpgsqlConnection(ConnectionString("postgres") + ";Pooling=false;Timeout=5");
                await connection.OpenAsync(ct);
                return;
            }
            catch (NpgsqlException e)
            {
                if (_time.GetElapsedTime(begin) > TimeSpan.FromSeconds(60))
                    throw new StartException($"The private PostgreSQL in '{_cluster}' does not answer: {e.Message}.", $"Read '{Path.Combine(_cluster, "log")}'.", e);
                if (RunningProcess() is null)
                    await LaunchAsync(ct);
                await Task.Delay(TimeSpan.FromMilliseconds(200), _time, ct);
            }
        }
    }

    private static string Digest(string path) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(path)))[..12];

    [LoggerMessage(1001, LogLevel.Information, "Made a private PostgreSQL {Major} in {Cluster}.")]
    private static partial void LogMade(ILogger logger, int major, string cluster);

    [LoggerMessage(1002, LogLevel.Information, "Started PostgreSQL {Major} in {Cluster}, process {Process}.")]
    private static partial void LogStarted(ILogger logger, int major, string cluster, int process);

    [LoggerMessage(1003, LogLevel.Information, "Took over the running PostgreSQL, process {Process}, in {Cluster}.")]
    private static partial void LogAdopted(ILogger logger, int process, string cluster);

    [LoggerMessage(1004, LogLevel.Information, "Stopped the PostgreSQL in {Cluster}.")]
    private static partial void LogStopped(ILogger logger, string cluster);

    [LoggerMessage(1005, LogLevel.Warning, "The PostgreSQL in {Cluster} did not stop: {Output}")]
    private static partial void LogNotStopped(ILogger logger, string cluster, string output);

    [LoggerMessage(1006, LogLevel.Information, "User {User} cannot enter {DataFolder}; the database lives in {Elsewhere}.")]
    private static partial void LogElsewhere(ILogger logger, string user, string dataFolder, string elsewhere);
}
