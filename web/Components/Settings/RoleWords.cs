using Exitless.ControlPlane.Api;

namespace Exitless.Web.Components.Settings;

/// <summary>Roles in words.</summary>
internal static class RoleWords
{
    /// <summary>A role's name.</summary>
    public static string Of(Role role) => role.ToString().ToLowerInvariant();

    /// <summary>What a role allows.</summary>
    public static string May(Role role) => role switch
    {
        Role.Viewer => "looks",
        Role.Operator => "also creates, changes, starts, stops, deletes",
        _ => "also decides who may what",
    };

    /// <summary>Where a role holds.</summary>
    public static string Place(Guid? projectId, IReadOnlyList<ProjectDto> projects) =>
        projectId is not { } id ? "the whole fleet" : $"project {projects.FirstOrDefault(p => p.Id == id)?.Name ?? id.ToString("D")}";

    /// <summary>All that somebody may do.</summary>
    public static string Of(IReadOnlyList<GrantDto> grants, IReadOnlyList<ProjectDto> projects) =>
        grants.Count == 0 ? "nothing" : string.Join("; ", grants.Select(g => $"{Of(g.Role)} in {Place(g.ProjectId, projects)}"));
}
