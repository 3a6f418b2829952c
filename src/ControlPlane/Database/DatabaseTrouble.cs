using Microsoft.EntityFrameworkCore;
using Npgsql;

namespace Exitless.ControlPlane.Database;

/// <summary>Tells trouble with the database from defects: whoever runs for ever tries again after the one.</summary>
internal static class DatabaseTrouble
{
    /// <summary>Whether the database, or the way to it, is what failed. EF Core wraps what it takes for passing trouble, such as a pool without a free connection, in an <see cref="InvalidOperationException"/>.</summary>
    public static bool Is(Exception e)
    {
        for (var one = e; one is not null; one = one.InnerException)
        {
            if (one is NpgsqlException or DbUpdateException or TimeoutException)
                return true;
        }
        return false;
    }
}
