using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Logging;

namespace Exitless.ControlPlane.Database;

/// <summary>Makes contexts. Unlike the framework's own factory it looks at the database only when the first one is made: services are built before the database is started.</summary>
internal sealed class ContextFactory(DatabaseServer server, ILoggerFactory loggers) : IDbContextFactory<ControlPlaneContext>
{
    private DbContextOptions<ControlPlaneContext>? _options;

    public ControlPlaneContext CreateDbContext() => new(_options ??= Options());

    private DbContextOptions<ControlPlaneContext> Options()
    {
        var options = new DbContextOptionsBuilder<ControlPlaneContext>().UseLoggerFactory(loggers);
        DatabaseModel.Use(options, server.Source);
        return options.Options;
    }
}
