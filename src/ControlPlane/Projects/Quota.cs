using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Database;
using Microsoft.EntityFrameworkCore;

namespace Exitless.ControlPlane.Projects;

/// <summary>Keeps a project within its quota. Who adds to a project holds its row's lock, so that two requests never take the same rest.</summary>
internal static class Quota
{
    /// <summary>The project, locked until the transaction ends; null: there is none.</summary>
    public static async Task<ProjectRow?> LockAsync(ControlPlaneContext db, Guid projectId, CancellationToken ct) =>
        (await db.Projects.FromSql($"SELECT * FROM projects WHERE id = {projectId} FOR UPDATE").ToListAsync(ct)).SingleOrDefault();

    /// <summary>What the VMs of each project take.</summary>
    public static async Task<Dictionary<Guid, QuotaDto>> UsedAsync(ControlPlaneContext db, Guid? projectId, CancellationToken ct) =>
        (await db.Vms.Where(v => projectId == null || v.ProjectId == projectId)
            .Select(v => new { v.ProjectId, v.Vcpus, v.MemoryMib, Vfs = v.Devices.Count }).ToListAsync(ct))
        .GroupBy(v => v.ProjectId).ToDictionary(g => g.Key, g => new QuotaDto(g.Count(), g.Sum(v => v.Vcpus), g.Sum(v => v.MemoryMib), g.Sum(v => v.Vfs)));

    /// <summary>Names what of a new VM the quota has no room for.</summary>
    public static async Task CheckAsync(ControlPlaneContext db, ProjectRow project, CreateVmRequest request, Mistakes mistakes, CancellationToken ct)
    {
        if (project is { MostVms: null, MostVcpus: null, MostMemoryMib: null, MostVfs: null })
            return;
        var used = (await UsedAsync(db, project.Id, ct)).GetValueOrDefault(project.Id) ?? new QuotaDto(0, 0, 0, 0);
        Check("name", "VMs", project.MostVms, used.Vms ?? 0, 1);
        Check("vcpus", "vCPUs", project.MostVcpus, used.Vcpus ?? 0, request.Vcpus);
        Check("memoryMib", "MiB", project.MostMemoryMib, used.MemoryMib ?? 0, request.MemoryMib);
        Check("devices", "VFs", project.MostVfs, used.Vfs ?? 0, request.Devices?.Count ?? 0);

        void Check(string field, string what, int? most, int taken, int more)
        {
            if (most is { } limit && (long)taken + more > limit)
                mistakes.Add(ProblemKind.Conflict, "quota-exceeded", field, $"{more} more {what} than the {taken} that the project {project.Name} has are more than its quota of {limit}.", "Delete a VM of the project, or have its quota raised.");
        }
    }
}
