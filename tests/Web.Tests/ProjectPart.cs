using Exitless.ControlPlane.Api;

namespace Exitless.Web.Tests;

/// <summary>Projects over the store; what is asked of them is kept.</summary>
public sealed class ProjectPart(MemoryStore store) : IProjects
{
    public List<ProjectDto> All { get; } = [new(ProjectDto.DefaultId, "default", new QuotaDto(), new QuotaDto(0, 0, 0, 0), MemoryStore.Epoch)];

    public Task<IReadOnlyList<ProjectDto>> ListAsync(CancellationToken ct) => Task.FromResult<IReadOnlyList<ProjectDto>>([.. All]);

    public Task<ProjectDto> GetAsync(Guid projectId, CancellationToken ct) => Task.FromResult(All.Single(p => p.Id == projectId));

    public Task<ProjectDto> CreateAsync(ProjectRequest request, Actor by, CancellationToken ct) => Task.FromResult(Made(request, "create project", by));

    public Task<ProjectDto> ChangeAsync(Guid projectId, ProjectRequest request, Actor by, CancellationToken ct) => Task.FromResult(Made(request, "change project", by));

    public Task DeleteAsync(Guid projectId, Actor by, CancellationToken ct) => Task.FromResult(store.Change($"delete project {projectId}", by));

    private ProjectDto Made(ProjectRequest request, string what, Actor by)
    {
        store.Change($"{what} {request.Name}", by);
        return new ProjectDto(Guid.CreateVersion7(), request.Name, request.Quota ?? new QuotaDto(), new QuotaDto(0, 0, 0, 0), MemoryStore.Epoch);
    }
}
