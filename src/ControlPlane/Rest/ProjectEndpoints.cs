using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Rest.Conventions;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;

namespace Exitless.ControlPlane.Rest;

/// <summary>Projects and their quota. Public, because the API's description is drawn from its comments.</summary>
public static class ProjectEndpoints
{
    private const string Path = "/projects";

    internal static void Map(IEndpointRouteBuilder api)
    {
        var projects = api.MapGroup(Path).WithTags("Projects");
        projects.MapGet("", ListProjects).WithName(nameof(ListProjects)).ProducesProblem(400).Needs(Role.Viewer, Reach.Anywhere)
            .IsList<ProjectDto>(p => [p.Name, p.Id.ToString("D")], descending: false, "name").InProject<ProjectDto>(p => p.Id).WithExample(200, new[] { Example.Project }, null, ("limit", "50"));
        projects.MapPost("", CreateProject).WithName(nameof(CreateProject)).ProducesProblem(400).ProducesProblem(409).Needs(Role.Admin, Reach.Fleet)
            .Creates().WithExample(201, Example.Project, Example.ProjectToMake);
        projects.MapGet("/{projectId:guid}", GetProject).WithName(nameof(GetProject)).ProducesProblem(404).Needs(Role.Viewer, Reach.Project).WithExample(200, Example.Project);
        projects.MapPut("/{projectId:guid}", ChangeProject).WithName(nameof(ChangeProject)).ProducesProblem(400).ProducesProblem(404).ProducesProblem(409).Needs(Role.Admin, Reach.Fleet)
            .Changes(Resources.Project).WithExample(200, Example.Project, Example.ProjectToMake);
        projects.MapDelete("/{projectId:guid}", DeleteProject).WithName(nameof(DeleteProject)).ProducesProblem(404).ProducesProblem(409).Needs(Role.Admin, Reach.Fleet)
            .Changes(Resources.Project).WithExample(204, null);
    }

    /// <summary>Lists the projects that the caller has a role in, by name.</summary>
    public static async Task<Ok<IReadOnlyList<ProjectDto>>> ListProjects(IProjects projects, CancellationToken ct) => TypedResults.Ok(await projects.ListAsync(ct));

    /// <summary>Makes a project.</summary>
    /// <param name="request">Its name and quota.</param>
    /// <param name="projects">The projects.</param>
    /// <param name="context">The request.</param>
    public static async Task<Created<ProjectDto>> CreateProject(ProjectRequest request, IProjects projects, HttpContext context)
    {
        var project = await projects.CreateAsync(request, Actor.From(context.User), context.RequestAborted);
        return TypedResults.Created($"/api/v1{Path}/{project.Id:D}", project);
    }

    /// <summary>Shows one project: its quota and how much of it is used.</summary>
    /// <param name="projectId">The project's id.</param>
    /// <param name="projects">The projects.</param>
    /// <param name="ct">Ends with the request.</param>
    public static async Task<Ok<ProjectDto>> GetProject(Guid projectId, IProjects projects, CancellationToken ct) => TypedResults.Ok(await projects.GetAsync(projectId, ct));

    /// <summary>Renames a project and sets its quota. What its VMs have already is not taken from them.</summary>
    /// <param name="projectId">The project's id.</param>
    /// <param name="request">Its name and quota from now on.</param>
    /// <param name="projects">The projects.</param>
    /// <param name="context">The request.</param>
    public static async Task<Ok<ProjectDto>> ChangeProject(Guid projectId, ProjectRequest request, IProjects projects, HttpContext context) =>
        TypedResults.Ok(await projects.ChangeAsync(projectId, request, Actor.From(context.User), context.RequestAborted));

    /// <summary>Removes a project that has no VM, with all roles in it.</summary>
    /// <param name="projectId">The project's id.</param>
    /// <param name="projects">The projects.</param>
    /// <param name="context">The request.</param>
    public static async Task<NoContent> DeleteProject(Guid projectId, IProjects projects, HttpContext context)
    {
        await projects.DeleteAsync(projectId, Actor.From(context.User), context.RequestAborted);
        return TypedResults.NoContent();
    }
}
