using System.Security.Claims;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Database;
using Microsoft.AspNetCore.Authorization;
using Microsoft.EntityFrameworkCore;

namespace Exitless.ControlPlane.Access;

/// <summary>The pages, the metrics and the live hub's pages show the whole fleet: they take a role in it.</summary>
internal sealed class FleetViewer : IAuthorizationRequirement;

/// <summary>Looks the role up at each request.</summary>
internal sealed class FleetViewerHandler(IDbContextFactory<ControlPlaneContext> contexts) : AuthorizationHandler<FleetViewer>
{
    protected override async Task HandleRequirementAsync(AuthorizationHandlerContext context, FleetViewer requirement)
    {
        if (!Guid.TryParse(context.User.FindFirstValue(ClaimTypes.NameIdentifier), out var id))
            return;
        await using var db = await contexts.CreateDbContextAsync();
        if ((await Rights.OfAsync(db, id, CancellationToken.None)).Has(Role.Viewer, null))
            context.Succeed(requirement);
    }
}
