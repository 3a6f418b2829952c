using Exitless.ControlPlane.Tests.Fixtures;
using Microsoft.EntityFrameworkCore;

namespace Exitless.ControlPlane.Tests.Database;

public sealed class ModelTests(TestHost host) : IClassFixture<TestHost>
{
    [Fact]
    public async Task The_migrations_make_the_model_that_the_code_has()
    {
        await using var db = host.Database();
        Assert.False(db.Database.HasPendingModelChanges(), "The model has changed: write a migration (docs/control-plane.md says how).");
        Assert.Empty(await db.Database.GetPendingMigrationsAsync(TestContext.Current.CancellationToken));
    }
}
