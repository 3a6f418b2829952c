namespace Exitless.ControlPlane.Api;

/// <summary>How much the VMs of a project may take together; null: as much as there is.</summary>
/// <param name="Vms">VMs.</param>
/// <param name="Vcpus">vCPUs.</param>
/// <param name="MemoryMib">Memory in MiB.</param>
/// <param name="Vfs">VFs.</param>
public sealed record QuotaDto(int? Vms = null, int? Vcpus = null, int? MemoryMib = null, int? Vfs = null);

/// <summary>A project: VMs that belong together, and the people and tokens that may touch them.</summary>
/// <param name="Id">The project's id.</param>
/// <param name="Name">Its name.</param>
/// <param name="Quota">How much it may take.</param>
/// <param name="Used">How much it takes.</param>
/// <param name="CreatedAt">When it was made.</param>
public sealed record ProjectDto(Guid Id, string Name, QuotaDto Quota, QuotaDto Used, DateTimeOffset CreatedAt)
{
    /// <summary>The project of VMs that name none. It is always there.</summary>
    public static readonly Guid DefaultId = new("00000000-0000-7000-8000-000000000001");
}

/// <summary>A project to make, or what a project shall be from now on.</summary>
/// <param name="Name">1 to 63 letters, digits, dots and hyphens, beginning and ending with a letter or digit; unique.</param>
/// <param name="Quota">How much its VMs may take; null: as much as there is.</param>
public sealed record ProjectRequest(string Name, QuotaDto? Quota = null);

/// <summary>Projects.</summary>
public interface IProjects
{
    /// <summary>All projects, by name.</summary>
    Task<IReadOnlyList<ProjectDto>> ListAsync(CancellationToken ct);

    /// <summary>One project; <see cref="ProblemException"/> <c>project-not-found</c>.</summary>
    Task<ProjectDto> GetAsync(Guid projectId, CancellationToken ct);

    /// <summary>Makes a project.</summary>
    Task<ProjectDto> CreateAsync(ProjectRequest request, Actor by, CancellationToken ct);

    /// <summary>Renames a project and sets its quota. What its VMs have already is not taken from them.</summary>
    Task<ProjectDto> ChangeAsync(Guid projectId, ProjectRequest request, Actor by, CancellationToken ct);

    /// <summary>Removes a project that has no VM.</summary>
    Task DeleteAsync(Guid projectId, Actor by, CancellationToken ct);
}
