using Exitless.ControlPlane.Api;

namespace Exitless.ControlPlane.Access;

/// <summary>A role that a person or a token has, as it is stored.</summary>
internal sealed class GrantRow
{
    public required Guid Id { get; init; }

    /// <summary>The id of the person or token.</summary>
    public required Guid SubjectId { get; init; }

    /// <summary>Null: in the whole fleet.</summary>
    public required Guid? ProjectId { get; init; }

    public required Role Role { get; set; }

    public GrantDto ToDto() => new(Role, ProjectId);
}
