using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Database;
using Exitless.ControlPlane.Operations;
using Microsoft.EntityFrameworkCore;

namespace Exitless.ControlPlane.Backup;

/// <summary>
/// A table that is in a restored database until what a restore means has been written into its rows. It comes in the restore's own transaction, when
/// the tables may still be of an older version; so a restore that is interrupted after it is finished at the next start.
/// </summary>
internal static class RestoreMark
{
    public const string Make = "CREATE TABLE public.restored_from_backup ()";

    /// <summary>With the tables up to date: marks every host as recovering and ends every operation, if the mark is there.</summary>
    /// <returns>How many hosts are to recover.</returns>
    public static async Task<int> TakeAsync(ControlPlaneContext db, TimeProvider time, CancellationToken ct)
    {
        if (!await db.Database.SqlQuery<bool>($"""SELECT to_regclass('public.restored_from_backup') IS NOT NULL AS "Value" """).SingleAsync(ct))
            return 0;
        await using var transaction = await db.Database.BeginTransactionAsync(ct);
        var hosts = await db.Hosts.Where(h => h.RevokedAt == null).ExecuteUpdateAsync(s => s.SetProperty(h => h.Recovering, true), ct);
        foreach (var operation in await db.Operations.Where(o => o.FinishedAt == null).ToListAsync(ct))
            Cut(operation, time.GetUtcNow());
        await db.SaveChangesAsync(ct);
        await db.Database.ExecuteSqlAsync($"DROP TABLE public.restored_from_backup", ct);
        await transaction.CommitAsync(ct);
        return hosts;
    }

    /// <summary>Ends an operation that the restored copy knows the beginning of. Whether it was carried out, what the host reports shows; the record of it is too old to judge it.</summary>
    public static void Cut(OperationRow operation, DateTimeOffset now)
    {
        operation.State = OperationState.Failed;
        operation.FinishedAt = now;
        operation.Problem = new ProblemDto(
            "database-restored", "The database was restored while this was under way.", "Its end is not in the copy that was restored.", "Look at the state of what it was about, and ask again if that is not as it should be.", null);
    }
}
