using Exitless.ControlPlane.Database;
using Exitless.ControlPlane.Tests.Fixtures;
using Microsoft.EntityFrameworkCore;
using Npgsql;

namespace Exitless.ControlPlane.Tests.Database;

/// <summary>What the database's troubles look like by the time they reach whoever runs for ever.</summary>
public sealed class DatabaseTroubleTests(TestHost host) : IClassFixture<TestHost>
{
    [Fact]
    public async Task A_server_that_is_not_there_is_trouble_with_the_database()
    {
        using var folder = new TemporaryFolder();
        await using var db = new ControlPlaneContext(new DbContextOptionsBuilder<ControlPlaneContext>().UseNpgsql($"Host={folder.Path};Username=nobody;Database=none").Options);
        Assert.True(DatabaseTrouble.Is(await Assert.ThrowsAnyAsync<Exception>(() => db.Vms.CountAsync(TestContext.Current.CancellationToken))));
    }

    [Fact]
    public async Task A_pool_without_a_free_connection_is_trouble_with_the_database()
    {
        var connection = new NpgsqlConnectionStringBuilder(host.Services.GetService(typeof(DatabaseServer)) is DatabaseServer server ? server.ConnectionString : "") { MaxPoolSize = 1, Timeout = 1 }.ConnectionString;
        await using var taken = new NpgsqlConnection(connection);
        await taken.OpenAsync(TestContext.Current.CancellationToken);
        await using var db = new ControlPlaneContext(new DbContextOptionsBuilder<ControlPlaneContext>().UseNpgsql(connection).Options);
        var trouble = await Assert.ThrowsAnyAsync<Exception>(() => db.Vms.CountAsync(TestContext.Current.CancellationToken));
        // Wrapped, and so none of the types that one would think of.
        Assert.IsType<InvalidOperationException>(trouble);
        Assert.True(DatabaseTrouble.Is(trouble));
    }

    [Fact]
    public void A_defect_is_none() => Assert.False(DatabaseTrouble.Is(new InvalidOperationException("a defect", new ArgumentException("another"))));
}
