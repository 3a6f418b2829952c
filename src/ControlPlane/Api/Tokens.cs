namespace Exitless.ControlPlane.Api;

/// <summary>A one-time enrolment token to make.</summary>
/// <param name="Label">What it is for, up to 100 characters.</param>
/// <param name="Minutes">How long it can be used, 1 to 10080 (a week).</param>
public sealed record CreateEnrolmentTokenRequest(string? Label = null, int Minutes = 60);

/// <summary>A new enrolment token. The token is shown this once; only its hash is kept.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Token">The secret.</param>
/// <param name="AuthorityFingerprint">What the agent pins: <c>sha256:</c> and the SHA-256 of the CA certificate's DER, in lower-case hexadecimal.</param>
/// <param name="AgentPort">The port that agents dial.</param>
/// <param name="ExpiresAt">When it ends.</param>
public sealed record CreatedEnrolmentTokenDto(Guid Id, string Token, string AuthorityFingerprint, int AgentPort, DateTimeOffset ExpiresAt);

/// <summary>An enrolment token that was made, without its secret.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Label">What it is for.</param>
/// <param name="CreatedAt">When it was made.</param>
/// <param name="CreatedBy">Who made it.</param>
/// <param name="ExpiresAt">When it ends.</param>
/// <param name="UsedAt">When a host used it; null: not yet.</param>
/// <param name="UsedByHostId">The host that used it.</param>
public sealed record EnrolmentTokenDto(Guid Id, string? Label, DateTimeOffset CreatedAt, string CreatedBy, DateTimeOffset ExpiresAt, DateTimeOffset? UsedAt, Guid? UsedByHostId);

/// <summary>One-time tokens that hosts enrol with.</summary>
public interface IEnrolmentTokens
{
    /// <summary>Makes a token; the answer holds the only copy of the secret.</summary>
    Task<CreatedEnrolmentTokenDto> CreateAsync(CreateEnrolmentTokenRequest request, Actor by, CancellationToken ct);

    /// <summary>Tokens that were made, the newest first.</summary>
    Task<IReadOnlyList<EnrolmentTokenDto>> ListAsync(CancellationToken ct);

    /// <summary>Makes an unused token useless.</summary>
    Task RevokeAsync(Guid tokenId, Actor by, CancellationToken ct);
}

/// <summary>An API token to make.</summary>
/// <param name="Name">1 to 100 characters; unique among the tokens that are valid.</param>
/// <param name="Days">How long it is valid, 1 to 3650; null: until it is revoked.</param>
/// <param name="Role">What it may do. Give it the least that its script needs.</param>
/// <param name="ProjectId">In this project only; null: in the whole fleet.</param>
public sealed record CreateApiTokenRequest(string Name, int? Days = null, Role Role = Role.Admin, Guid? ProjectId = null);

/// <summary>A new API token, for <c>Authorization: Bearer</c>. It is shown this once; only its hash is kept.</summary>
public sealed record CreatedApiTokenDto(Guid Id, string Name, string Token, DateTimeOffset? ExpiresAt);

/// <summary>An API token that was made, without its secret.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Name">Its name.</param>
/// <param name="Prefix">The beginning of the secret, to know it by.</param>
/// <param name="CreatedAt">When it was made.</param>
/// <param name="CreatedBy">Who made it.</param>
/// <param name="ExpiresAt">When it ends; null: never.</param>
/// <param name="LastUsedAt">When it was last used, to the minute; null: never.</param>
/// <param name="Role">What it may do.</param>
/// <param name="ProjectId">In this project only; null: in the whole fleet.</param>
public sealed record ApiTokenDto(Guid Id, string Name, string Prefix, DateTimeOffset CreatedAt, string CreatedBy, DateTimeOffset? ExpiresAt, DateTimeOffset? LastUsedAt, Role Role = Role.Admin, Guid? ProjectId = null);

/// <summary>Bearer tokens for scripts.</summary>
public interface IApiTokens
{
    /// <summary>Makes a token; the answer holds the only copy of the secret.</summary>
    Task<CreatedApiTokenDto> CreateAsync(CreateApiTokenRequest request, Actor by, CancellationToken ct);

    /// <summary>Tokens that are not revoked, by name.</summary>
    Task<IReadOnlyList<ApiTokenDto>> ListAsync(CancellationToken ct);

    /// <summary>Makes a token useless.</summary>
    Task RevokeAsync(Guid tokenId, Actor by, CancellationToken ct);
}
