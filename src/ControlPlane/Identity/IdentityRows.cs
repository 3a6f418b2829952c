using Microsoft.AspNetCore.Identity;

namespace Exitless.ControlPlane.Identity;

/// <summary>A person who signs in.</summary>
internal sealed class Person : IdentityUser<Guid>;

/// <summary>A one-time token for a host. Only the hash of the secret is kept.</summary>
internal sealed class EnrolmentTokenRow
{
    public required Guid Id { get; init; }

    public required byte[] Hash { get; init; }

    public required string? Label { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    public required string CreatedBy { get; init; }

    public required DateTimeOffset ExpiresAt { get; init; }

    public DateTimeOffset? UsedAt { get; set; }

    public Guid? UsedByHostId { get; set; }
}

/// <summary>A bearer token for scripts. Only the hash of the secret is kept.</summary>
internal sealed class ApiTokenRow
{
    public required Guid Id { get; init; }

    public required string Name { get; init; }

    public required string Prefix { get; init; }

    public required byte[] Hash { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    public required string CreatedBy { get; init; }

    public required DateTimeOffset? ExpiresAt { get; init; }

    public DateTimeOffset? LastUsedAt { get; set; }
}
