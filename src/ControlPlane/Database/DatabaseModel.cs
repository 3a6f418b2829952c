using Microsoft.EntityFrameworkCore;
using Npgsql;

namespace Exitless.ControlPlane.Database;

/// <summary>How Entity Framework is set up, at run time and when a migration is written.</summary>
internal static class DatabaseModel
{
    private const string MigrationsAssembly = "Exitless.Migrations";
    private const string HistoryTable = "schema_history";

    public static void Use(DbContextOptionsBuilder options, NpgsqlDataSource source) =>
        options.UseNpgsql(source, n => n.MigrationsAssembly(MigrationsAssembly).MigrationsHistoryTable(HistoryTable).SetPostgresVersion(PostgresBinaries.OldestMajor, 0)).UseSnakeCaseNamingConvention();

    public static void Use(DbContextOptionsBuilder options, string connectionString) =>
        options.UseNpgsql(connectionString, n => n.MigrationsAssembly(MigrationsAssembly).MigrationsHistoryTable(HistoryTable).SetPostgresVersion(PostgresBinaries.OldestMajor, 0)).UseSnakeCaseNamingConvention();
}
