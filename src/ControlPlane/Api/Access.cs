namespace Exitless.ControlPlane.Api;

/// <summary>What somebody may do, from little to much; each may all that the ones before it may.</summary>
public enum Role
{
    /// <summary>Look.</summary>
    Viewer,
    /// <summary>Also create, change, start, stop and delete.</summary>
    Operator,
    /// <summary>Also decide who may what.</summary>
    Admin,
}

/// <summary>A role that somebody has.</summary>
/// <param name="Role">The role.</param>
/// <param name="ProjectId">In this project only; null: in the whole fleet, and so in every project.</param>
public sealed record GrantDto(Role Role, Guid? ProjectId = null);

/// <summary>Somebody who signs in.</summary>
/// <param name="Id">The person's id.</param>
/// <param name="Name">The name to sign in with.</param>
/// <param name="Grants">What the person may do; empty: nothing.</param>
/// <param name="Locked">Whether too many wrong passwords keep the person out at present.</param>
public sealed record PersonDto(Guid Id, string Name, IReadOnlyList<GrantDto> Grants, bool Locked);

/// <summary>A person to make.</summary>
/// <param name="Name">1 to 64 letters, digits, dots, hyphens and underscores; unique.</param>
/// <param name="Grants">What the person may do.</param>
public sealed record CreatePersonRequest(string Name, IReadOnlyList<GrantDto> Grants);

/// <summary>A password that was made. It is shown this once.</summary>
/// <param name="Id">The person's id.</param>
/// <param name="Name">The name to sign in with.</param>
/// <param name="Password">The password.</param>
public sealed record NewPasswordDto(Guid Id, string Name, string Password);

/// <summary>All that a person may do from now on.</summary>
/// <param name="Grants">The roles; those that are not named are taken away.</param>
public sealed record SetGrantsRequest(IReadOnlyList<GrantDto> Grants);

/// <summary>Whoever asks: a person or a token.</summary>
/// <param name="Id">The id of the person or token.</param>
/// <param name="Name">As it is written beside what the caller does.</param>
/// <param name="Grants">What the caller may do.</param>
public sealed record MeDto(Guid Id, string Name, IReadOnlyList<GrantDto> Grants);

/// <summary>The people who may sign in, and what each may do.</summary>
public interface IPeopleDirectory
{
    /// <summary>All people, by name.</summary>
    Task<IReadOnlyList<PersonDto>> ListAsync(CancellationToken ct);

    /// <summary>All that a person or a token may do, as of now.</summary>
    Task<IReadOnlyList<GrantDto>> GrantsAsync(Guid subject, CancellationToken ct);

    /// <summary>One person; <see cref="ProblemException"/> <c>person-not-found</c>.</summary>
    Task<PersonDto> GetAsync(Guid personId, CancellationToken ct);

    /// <summary>Makes a person, with a password that the answer holds the only copy of.</summary>
    Task<NewPasswordDto> CreateAsync(CreatePersonRequest request, Actor by, CancellationToken ct);

    /// <summary>Sets what a person may do. The last administrator of the fleet stays one.</summary>
    Task<PersonDto> SetGrantsAsync(Guid personId, SetGrantsRequest request, Actor by, CancellationToken ct);

    /// <summary>Gives a person a new password and ends all their sessions.</summary>
    Task<NewPasswordDto> ResetPasswordAsync(Guid personId, Actor by, CancellationToken ct);

    /// <summary>Ends all sessions of a person; each page and request asks for the password again, within a minute.</summary>
    Task<PersonDto> EndSessionsAsync(Guid personId, Actor by, CancellationToken ct);

    /// <summary>Removes a person. The last administrator of the fleet stays.</summary>
    Task DeleteAsync(Guid personId, Actor by, CancellationToken ct);
}
