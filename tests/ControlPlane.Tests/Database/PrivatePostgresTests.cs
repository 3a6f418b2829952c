using System.Diagnostics;
using Exitless.ControlPlane.Database;
using Exitless.ControlPlane.Tests.Fixtures;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;

namespace Exitless.ControlPlane.Tests.Database;

/// <summary>The private PostgreSQL lives through what happens to its keeper.</summary>
public sealed class PrivatePostgresTests : IAsyncLifetime
{
    private readonly TemporaryFolder _folder = new();
    private PrivatePostgres? _server;

    public ValueTask InitializeAsync()
    {
        DataFolder.Make(_folder.Path);
        return ValueTask.CompletedTask;
    }

    public async ValueTask DisposeAsync()
    {
        NpgsqlConnection.ClearAllPools();
        if (_server?.RunningProcess() is not null)
            await _server.StopAsync(CancellationToken.None);
        if (File.Exists(Path.Combine(_folder.Path, "postgres.location")))
            Directory.Delete((await File.ReadAllTextAsync(Path.Combine(_folder.Path, "postgres.location"))).Trim(), recursive: true);
        _folder.Dispose();
    }

    [Fact]
    public async Task It_runs_as_nobody_of_importance_and_listens_on_no_network()
    {
        await StartAsync();
        Assert.Equal("", await AskAsync("SHOW listen_addresses"));
        var status = await File.ReadAllLinesAsync($"/proc/{_server!.RunningProcess()}/status", TestContext.Current.CancellationToken);
        Assert.DoesNotContain("\t0\t", status.Single(l => l.StartsWith("Uid:", StringComparison.Ordinal)) + "\t", StringComparison.Ordinal);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(_server.Cluster));
    }

    [Fact]
    public async Task A_keeper_that_was_killed_finds_it_running_with_its_data()
    {
        await StartAsync();
        var process = _server!.RunningProcess();
        await AskAsync("CREATE TABLE kept AS SELECT 42 AS answer");
        await StartAsync();
        Assert.Equal(process, _server.RunningProcess());
        Assert.Equal(42, await AskAsync("SELECT answer FROM kept"));
    }

    [Fact]
    public async Task A_server_that_was_killed_is_started_again_with_its_data()
    {
        await StartAsync(durable: true);
        await AskAsync("CREATE TABLE kept AS SELECT 42 AS answer");
        using (var process = Process.GetProcessById(_server!.RunningProcess()!.Value))
        {
            process.Kill();
            await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        }
        NpgsqlConnection.ClearAllPools();
        Assert.True(File.Exists(Path.Combine(_server.Cluster, "postmaster.pid")));
        await StartAsync(durable: true);
        Assert.Equal(42, await AskAsync("SELECT answer FROM kept"));
    }

    [Fact]
    public async Task A_pid_file_whose_number_is_somebody_elses_by_now_is_no_server()
    {
        await StartAsync();
        await _server!.StopAsync(TestContext.Current.CancellationToken);
        NpgsqlConnection.ClearAllPools();
        await File.WriteAllTextAsync(Path.Combine(_server.Cluster, "postmaster.pid"), $"{Environment.ProcessId}\n", TestContext.Current.CancellationToken);
        Assert.Null(_server.RunningProcess());
        await StartAsync();
        Assert.Equal(1, await AskAsync("SELECT 1"));
    }

    [Fact]
    public async Task A_start_that_was_interrupted_leaves_nothing_in_the_way()
    {
        Directory.CreateDirectory(Path.Combine(_folder.Path, "postgres.new", "half"));
        await StartAsync();
        Assert.Equal(1, await AskAsync("SELECT 1"));
    }

    [Fact]
    public async Task A_long_path_gets_its_socket_elsewhere()
    {
        var deep = Path.Combine(_folder.Path, new string('d', 120));
        DataFolder.Make(deep);
        _server = await PrivatePostgres.StartAsync(deep, null, durable: false, TimeProvider.System, NullLogger.Instance, TestContext.Current.CancellationToken);
        Assert.Equal(1, await AskAsync("SELECT 1"));
    }

    [Fact]
    public async Task A_data_folder_that_the_servers_user_cannot_enter_gets_its_database_elsewhere()
    {
        if (!Environment.IsPrivilegedProcess)
            Assert.Skip("Only root hands its server to another user.");
        var closed = Path.Combine(_folder.Path, "closed");
        Directory.CreateDirectory(closed, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        var data = Path.Combine(closed, "data");
        DataFolder.Make(data);
        _server = await PrivatePostgres.StartAsync(data, null, durable: false, TimeProvider.System, NullLogger.Instance, TestContext.Current.CancellationToken);
        Assert.Equal(1, await AskAsync("SELECT 1"));
        var elsewhere = (await File.ReadAllTextAsync(Path.Combine(data, "postgres.location"), TestContext.Current.CancellationToken)).Trim();
        Assert.StartsWith(elsewhere, _server.Cluster, StringComparison.Ordinal);
        await _server.StopAsync(TestContext.Current.CancellationToken);
        Directory.Delete(elsewhere, recursive: true);
    }

    [Fact]
    public void A_missing_or_different_postgresql_is_told_with_a_remedy()
    {
        var none = Assert.Throws<StartException>(() => PostgresBinaries.Find(_folder.Path, null));
        Assert.Contains("apt-get install", none.Message, StringComparison.Ordinal);
        var other = Assert.Throws<StartException>(() => PostgresBinaries.Find(null, 9));
        Assert.Contains("PostgreSQL 9", other.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void One_control_plane_a_data_folder()
    {
        using var first = DataFolderLock.Take(_folder.Path);
        Assert.Null(DataFolderLock.TryTake(_folder.Path));
        var refused = Assert.Throws<StartException>(() => DataFolderLock.Take(_folder.Path));
        Assert.Contains(_folder.Path, refused.Message, StringComparison.Ordinal);
    }

    private async Task StartAsync(bool durable = false) => _server = await PrivatePostgres.StartAsync(_folder.Path, null, durable, TimeProvider.System, NullLogger.Instance, TestContext.Current.CancellationToken);

    private async Task<object?> AskAsync(string sql)
    {
        await using var source = NpgsqlDataSource.Create(_server!.ConnectionString("postgres") + ";Pooling=false");
        await using var command = source.CreateCommand(sql);
        return await command.ExecuteScalarAsync(TestContext.Current.CancellationToken);
    }
}
