using Exitless.ControlPlane.Database;
using Exitless.ControlPlane.Tests.Fixtures;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;

[assembly: AssemblyFixture(typeof(TestPostgres))]

namespace Exitless.ControlPlane.Tests.Fixtures;

/// <summary>One real PostgreSQL for all tests, started by the product's own launcher, and one migrated database to copy for each class.</summary>
public sealed class TestPostgres : IAsyncLifetime
{
    private const string Template = "template_exitless";

    private readonly TemporaryFolder _folder = new();
    private readonly SemaphoreSlim _copying = new(1);
    private PrivatePostgres? _server;
    private int _databases;

    private PrivatePostgres Server => _server ?? throw new InvalidOperationException("Not started.");

    public async ValueTask InitializeAsync()
    {
        DataFolder.Make(_folder.Path);
        _server = await PrivatePostgres.StartAsync(_folder.Path, null, durable: false, TimeProvider.System, NullLogger.Instance, CancellationToken.None);
        await _server.EnsureDatabaseAsync(Template, null, CancellationToken.None);
        var options = new DbContextOptionsBuilder<ControlPlaneContext>();
        // A session of the pool that stays would keep the template from being copied.
        await using (var source = NpgsqlDataSource.Create(_server.ConnectionString(Template) + ";Pooling=false"))
        {
            DatabaseModel.Use(options, source);
            await using var db = new ControlPlaneContext(options.Options);
            await db.Database.MigrateAsync();
        }
    }

    /// <summary>A database of one's own, with every table and no row.</summary>
    public async Task<string> NewDatabaseAsync()
    {
        await _copying.WaitAsync();
        try
        {
            var name = $"test_{++_databases}";
            await Server.EnsureDatabaseAsync(name, Template, CancellationToken.None);
            return Server.ConnectionString(name);
        }
        finally
        {
            _copying.Release();
        }
    }

    public async ValueTask DisposeAsync()
    {
        NpgsqlConnection.ClearAllPools();
        if (_server is not null)
            await _server.StopAsync(CancellationToken.None);
        _folder.Dispose();
        _copying.Dispose();
    }
}
