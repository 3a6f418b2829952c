using System.Text.RegularExpressions;
using Exitless.ControlPlane.Access;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Database;
using Microsoft.EntityFrameworkCore;
using Npgsql;

namespace Exitless.ControlPlane.Projects;

/// <inheritdoc />
internal sealed partial class ProjectDirectory(ChangeRunner runner, IDbContextFactory<ControlPlaneContext> contexts) : IProjects
{
    public async Task<IReadOnlyList<ProjectDto>> ListAsync(CancellationToken ct)
    {
        await using var db = await contexts.CreateDbContextAsync(ct);
        var used = await Quota.UsedAsync(db, null, ct);
        return [.. (await db.Projects.AsNoTracking().OrderBy(p => p.Name).ToListAsync(ct)).Select(p => ToDto(p, used))];
    }

    public async Task<ProjectDto> GetAsync(Guid projectId, CancellationToken ct)
    {
        await using var db = await contexts.CreateDbContextAsync(ct);
        return await GetAsync(db, projectId, ct);
    }

    internal static async Task<ProjectDto> GetAsync(ControlPlaneContext db, Guid projectId, CancellationToken ct)
    {
        var row = await db.Projects.AsNoTracking().SingleOrDefaultAsync(p => p.Id == projectId, ct) ?? throw ProblemException.NotFound("Project", projectId);
        return ToDto(row, await Quota.UsedAsync(db, projectId, ct));
    }

    public async Task<ProjectDto> CreateAsync(ProjectRequest request, Actor by, CancellationToken ct)
    {
        var id = await Guarded(request, () => runner.RunAsync(async (db, changes) =>
        {
            await Rights.DemandAsync(db, changes, by, Role.Admin, null, ct);
            Check(request);
            var row = new ProjectRow { Id = changes.NewId(), Name = request.Name, CreatedAt = changes.Now };
            Limit(row, request.Quota);
            db.Projects.Add(row);
            changes.Announce(ChangeKind.Project, row.Id);
            changes.Tell(db, "project-created", EventSeverity.Info, $"{by.Name} made the project {row.Name}.", by: by);
            return row.Id;
        }, ct));
        return await GetAsync(id, ct);
    }

    public async Task<ProjectDto> ChangeAsync(Guid projectId, ProjectRequest request, Actor by, CancellationToken ct)
    {
        await Guarded(request, () => runner.RunAsync(async (db, changes) =>
        {
            await Rights.DemandAsync(db, changes, by, Role.Admin, null, ct);
            Check(request);
            var row = await Quota.LockAsync(db, projectId, ct) ?? throw ProblemException.NotFound("Project", projectId);
            row.Name = request.Name;
            Limit(row, request.Quota);
            changes.Announce(ChangeKind.Project, row.Id);
            changes.Tell(db, "project-changed", EventSeverity.Info, $"{by.Name} changed the project {row.Name}.", by: by);
            return row.Id;
        }, ct));
        return await GetAsync(projectId, ct);
    }

    public Task DeleteAsync(Guid projectId, Actor by, CancellationToken ct) => runner.RunAsync(async (db, changes) =>
    {
        await Rights.DemandAsync(db, changes, by, Role.Admin, null, ct);
        var row = await Quota.LockAsync(db, projectId, ct) ?? throw ProblemException.NotFound("Project", projectId);
        if (projectId == ProjectDto.DefaultId)
            throw new ProblemException(ProblemKind.Conflict, "project-default", "The project stays.", $"{row.Name} is the project of VMs that name none.", "Rename it if its name is in the way.");
        if (await db.Vms.Where(v => v.ProjectId == projectId).Select(v => v.Name).FirstOrDefaultAsync(ct) is { } vm)
            throw new ProblemException(ProblemKind.Conflict, "project-not-empty", "The project has VMs.", $"The VM '{vm}' is in {row.Name}.", "Delete its VMs first.");
        db.Grants.RemoveRange(await db.Grants.Where(g => g.ProjectId == projectId).ToListAsync(ct));
        db.Projects.Remove(row);
        changes.Announce(ChangeKind.Project, row.Id);
        changes.Tell(db, "project-deleted", EventSeverity.Info, $"{by.Name} removed the project {row.Name}.", by: by);
    }, ct);

    private static void Check(ProjectRequest request)
    {
        var mistakes = new Mistakes();
        if (!Name().IsMatch(request.Name))
            mistakes.Add("name", $"'{request.Name}' is no project name: 1 to 63 letters, digits, dots and hyphens, beginning and ending with a letter or digit.");
        foreach (var (field, limit) in ((string, int?)[])[("vms", request.Quota?.Vms), ("vcpus", request.Quota?.Vcpus), ("memoryMib", request.Quota?.MemoryMib), ("vfs", request.Quota?.Vfs)])
        {
            if (limit < 0)
                mistakes.Add($"quota.{field}", $"{limit} is less than nothing.", "Take 0 or more, or leave it out for no limit.");
        }
        mistakes.Throw("project-invalid", "The project cannot be so.");
    }

    private static void Limit(ProjectRow row, QuotaDto? quota) => (row.MostVms, row.MostVcpus, row.MostMemoryMib, row.MostVfs) = (quota?.Vms, quota?.Vcpus, quota?.MemoryMib, quota?.Vfs);

    private static ProjectDto ToDto(ProjectRow row, Dictionary<Guid, QuotaDto> used) =>
        new(row.Id, row.Name, new QuotaDto(row.MostVms, row.MostVcpus, row.MostMemoryMib, row.MostVfs), used.GetValueOrDefault(row.Id) ?? new QuotaDto(0, 0, 0, 0), row.CreatedAt);

    private static async Task<Guid> Guarded(ProjectRequest request, Func<Task<Guid>> change)
    {
        try
        {
            return await change();
        }
        catch (DbUpdateException e) when (e.InnerException is PostgresException { ConstraintName: ControlPlaneContext.ProjectNameIndex })
        {
            throw ProblemException.ForField(ProblemKind.Conflict, "project-name-taken", "The name is taken.", "name", $"There is a project named '{request.Name}'.", "Choose another name.");
        }
    }

    [GeneratedRegex("^[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?$", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex Name();
}
