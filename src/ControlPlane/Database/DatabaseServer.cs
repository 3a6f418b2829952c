using Exitless.ControlPlane.Backup;
using Exitless.ControlPlane.Configuration;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Npgsql;

namespace Exitless.ControlPlane.Database;

/// <summary>The database: the one that was named, or a private one that is started here. Ready once <see cref="StartAsync"/> has returned.</summary>
internal sealed class DatabaseServer(IOptions<ControlPlaneOptions> options, TimeProvider time, ILoggerFactory loggers) : IAsyncDisposable
{
    private const string Name = "exitless";

    private PrivatePostgres? _private;
    private NpgsqlDataSource? _source;
    private DataFolderLock? _lock;

    /// <summary>Connections to it.</summary>
    public NpgsqlDataSource Source => _source ?? throw new InvalidOperationException("The database has not been started.");

    /// <summary>How programs of PostgreSQL's own reach it; with its password.</summary>
    public string ConnectionString { get; private set; } = "";

    /// <summary>Major version of the private server; null: the database is another's.</summary>
    public int? PrivateMajor => _private?.Major;

    /// <summary>Starts what must be started. A control plane claims the data folder; a command beside it does not.</summary>
    public async Task StartAsync(bool claim, CancellationToken ct)
    {
        var settings = options.Value;
        DataFolder.Make(settings.DataFolder);
        if (claim)
            _lock = DataFolderLock.Take(settings.DataFolder);
        var connection = settings.ConnectionString;
        if (connection is null)
        {
            // A command that finds no control plane at work starts the server, and stops it again.
            _lock ??= DataFolderLock.TryTake(settings.DataFolder);
            _private = await PrivatePostgres.StartAsync(settings.DataFolder, settings.PostgresBinaries, settings.DurableDatabase, time, loggers.CreateLogger<PrivatePostgres>(), ct);
            await _private.EnsureDatabaseAsync(Name, null, ct);
            connection = _private.ConnectionString(Name);
        }
        try
        {
            ConnectionString = connection;
            _source = new NpgsqlDataSourceBuilder(connection) { Name = Name }.UseLoggerFactory(loggers).Build();
        }
        catch (ArgumentException e)
        {
            throw new StartException($"ConnectionStrings:ControlPlane cannot be read: {e.Message}.", "Write it like Host=db.example;Database=exitless;Username=exitless;Password=...", e);
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_source is not null)
            await _source.DisposeAsync();
        _source = null;
        // Whoever holds the folder's lock is the server's keeper.
        if (_lock is not null && _private is not null)
            await _private.StopAsync(CancellationToken.None);
        _private = null;
        _lock?.Dispose();
        _lock = null;
    }
}

/// <summary>Starts the database and brings its tables up to date before anything else starts, and stops it after everything else has stopped.</summary>
internal sealed class DatabaseStartup(DatabaseServer server, IServiceProvider services) : IHostedLifecycleService
{
    public async Task StartingAsync(CancellationToken ct)
    {
        await server.StartAsync(claim: true, ct);
        await MigrateAsync(services, ct);
    }

    public static async Task MigrateAsync(IServiceProvider services, CancellationToken ct)
    {
        await using var db = await services.GetRequiredService<IDbContextFactory<ControlPlaneContext>>().CreateDbContextAsync(ct);
        try
        {
            await db.Database.MigrateAsync(ct);
            await RestoreMark.TakeAsync(db, services.GetRequiredService<TimeProvider>(), ct);
        }
        catch (NpgsqlException e) when (e is not PostgresException)
        {
            throw new StartException($"The database does not answer: {e.Message}.", "Check ConnectionStrings:ControlPlane and that the server runs.", e);
        }
        catch (PostgresException e) when (e.SqlState is PostgresErrorCodes.InvalidPassword or PostgresErrorCodes.InvalidAuthorizationSpecification or PostgresErrorCodes.InsufficientPrivilege)
        {
            throw new StartException($"The database refuses the control plane: {e.MessageText}.", "Check user, password and rights in ConnectionStrings:ControlPlane; the user must own the database.", e);
        }
    }

    public Task StartAsync(CancellationToken ct) => Task.CompletedTask;

    public Task StartedAsync(CancellationToken ct) => Task.CompletedTask;

    public Task StoppingAsync(CancellationToken ct) => Task.CompletedTask;

    public Task StopAsync(CancellationToken ct) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken ct) => server.DisposeAsync().AsTask();
}
