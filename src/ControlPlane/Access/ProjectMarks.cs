using Exitless.ControlPlane.Database;
using Exitless.ControlPlane.Events;
using Exitless.ControlPlane.Operations;
using Exitless.ControlPlane.Vms;
using Microsoft.EntityFrameworkCore;

namespace Exitless.ControlPlane.Access;

/// <summary>Notes with each new operation and event of a VM which project the VM is in: that stays known after the VM is gone.</summary>
internal static class ProjectMarks
{
    public static async Task SetAsync(ControlPlaneContext db, CancellationToken ct)
    {
        foreach (var entry in db.ChangeTracker.Entries().Where(e => e.State == EntityState.Added).ToList())
        {
            switch (entry.Entity)
            {
                case OperationRow { VmId: { } vm, ProjectId: null } operation:
                    operation.ProjectId = await ProjectAsync(db, vm, ct);
                    break;
                case EventRow { VmId: { } vm, ProjectId: null } happened:
                    happened.ProjectId = await ProjectAsync(db, vm, ct);
                    break;
            }
        }
    }

    private static async Task<Guid?> ProjectAsync(ControlPlaneContext db, Guid vm, CancellationToken ct) =>
        db.ChangeTracker.Entries<VmRow>().FirstOrDefault(e => e.Entity.Id == vm)?.Entity.ProjectId ?? await db.Vms.Where(v => v.Id == vm).Select(v => (Guid?)v.ProjectId).SingleOrDefaultAsync(ct);
}
