using System.Security.Claims;

namespace Exitless.ControlPlane.Api;

/// <summary>Who asks for a change: a person's user name, a script's token name, or a part of the control plane. It is written beside the operation and its events.</summary>
/// <param name="Name">What people read in the lists, such as <c>admin</c> or <c>token deploy</c>.</param>
/// <param name="Id">The id of the person or token, whose roles are asked for; null: a part of the control plane, or a shell on its machine, which may do anything.</param>
public readonly record struct Actor(string Name, Guid? Id = null)
{
    /// <summary>The control plane itself, for changes that nobody asked for.</summary>
    public static Actor ControlPlane { get; } = new("control plane");

    /// <summary>The actor behind a signed-in principal, cookie or bearer token.</summary>
    public static Actor From(ClaimsPrincipal principal)
    {
        ArgumentNullException.ThrowIfNull(principal);
        // A principal without an id may do nothing.
        return new Actor(principal.Identity?.Name ?? "unknown", Guid.TryParse(principal.FindFirstValue(ClaimTypes.NameIdentifier), out var id) ? id : Guid.Empty);
    }

    /// <inheritdoc />
    public override string ToString() => Name;
}
