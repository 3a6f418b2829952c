using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Database;
using Microsoft.EntityFrameworkCore;

namespace Exitless.ControlPlane.Access;

/// <summary>All that somebody may do. They are read when they are needed, so that what is taken away is gone at once.</summary>
internal sealed class Rights(IReadOnlyList<GrantDto> grants)
{
    public IReadOnlyList<GrantDto> Grants { get; } = grants;

    /// <summary>The projects that may be looked at; null: all.</summary>
    public IReadOnlyCollection<Guid>? Projects { get; } = grants.Any(g => g.ProjectId is null) ? null : [.. grants.Select(g => g.ProjectId!.Value).Distinct()];

    public static async Task<Rights> OfAsync(ControlPlaneContext db, Guid subject, CancellationToken ct) =>
        new(await db.Grants.AsNoTracking().Where(g => g.SubjectId == subject).Select(g => new GrantDto(g.Role, g.ProjectId)).ToListAsync(ct));

    /// <summary>Whether the role is held in the project; with null, in the fleet.</summary>
    public bool Has(Role role, Guid? projectId) => Grants.Any(g => g.Role >= role && (g.ProjectId is null || g.ProjectId == projectId));

    /// <summary>Whether the role is held in any project, or in the fleet.</summary>
    public bool HasAnywhere(Role role) => Grants.Any(g => g.Role >= role);

    public void Demand(Role role, Guid? projectId)
    {
        if (!Has(role, projectId))
            throw Refused(role, projectId is { } id ? $"in the project {id:D}" : "in the fleet");
    }

    /// <summary>Lets a change by somebody pass who has the role, and notes for the audit log who it is.</summary>
    public static async Task DemandAsync(ControlPlaneContext db, Changes changes, Actor by, Role role, Guid? projectId, CancellationToken ct)
    {
        changes.By = by;
        if (by.Id is { } id)
            (await OfAsync(db, id, ct)).Demand(role, projectId);
    }

    public static ProblemException Refused(Role role, string where) => new(
        ProblemKind.Forbidden, "forbidden", "Not allowed.", $"This takes the role {role.ToString().ToLowerInvariant()} {where}.", "Ask an administrator for the role, or use a token that has it.");
}
