using Exitless.ControlPlane.Database;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Design;

namespace Exitless.Migrations;

/// <summary>How the EF tool makes a context when it writes a migration. It never connects.</summary>
internal sealed class DesignTime : IDesignTimeDbContextFactory<ControlPlaneContext>
{
    public ControlPlaneContext CreateDbContext(string[] args)
    {
        var options = new DbContextOptionsBuilder<ControlPlaneContext>();
        DatabaseModel.Use(options, "Host=none");
        return new ControlPlaneContext(options.Options);
    }
}
