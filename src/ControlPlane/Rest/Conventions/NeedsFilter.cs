using System.Security.Claims;
using Exitless.ControlPlane.Access;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Database;
using Microsoft.AspNetCore.Http;
using Microsoft.EntityFrameworkCore;

namespace Exitless.ControlPlane.Rest.Conventions;

/// <summary>Where a role must be held.</summary>
internal enum Reach
{
    /// <summary>In the whole fleet.</summary>
    Fleet,
    /// <summary>In the project of what the request is about.</summary>
    Project,
    /// <summary>In any project; the answer holds what the caller's projects have.</summary>
    Anywhere,
}

/// <summary>Endpoint metadata: who may.</summary>
internal sealed record NeedsPromise(Role Role, Reach Reach);

/// <summary>Refuses every operation to whoever lacks its role. Services ask again within the transaction of a change: pages come to them by another way.</summary>
internal sealed class NeedsFilter(IDbContextFactory<ControlPlaneContext> contexts) : IEndpointFilter
{
    public async ValueTask<object?> InvokeAsync(EndpointFilterInvocationContext context, EndpointFilterDelegate next)
    {
        var http = context.HttpContext;
        var needs = http.GetEndpoint()!.Metadata.GetMetadata<NeedsPromise>() ?? throw new InvalidOperationException($"{http.Request.Method} {http.Request.Path} does not say who may.");
        await using (var db = await contexts.CreateDbContextAsync(http.RequestAborted))
        {
            var rights = await Rights.OfAsync(db, Guid.Parse(http.User.FindFirstValue(ClaimTypes.NameIdentifier)!), http.RequestAborted);
            http.Features.Set(rights);
            if (needs.Reach == Reach.Anywhere || (needs.Reach == Reach.Project && !await ThereAsync(db, context)))
            {
                if (!rights.HasAnywhere(needs.Role))
                    throw Rights.Refused(needs.Role, "in a project, or in the fleet");
            }
            else
            {
                rights.Demand(needs.Role, needs.Reach == Reach.Fleet ? null : await ProjectAsync(db, context));
            }
        }
        return await next(context);
    }

    /// <summary>False: the route names what does not exist; the endpoint says so.</summary>
    private static async Task<bool> ThereAsync(ControlPlaneContext db, EndpointFilterInvocationContext context)
    {
        var ct = context.HttpContext.RequestAborted;
        if (Id(context, "vmId") is { } vm)
            return await db.Vms.AnyAsync(v => v.Id == vm, ct);
        if (Id(context, "operationId") is { } operation)
            return await db.Operations.AnyAsync(o => o.Id == operation, ct);
        return Id(context, "tokenId") is not { } token || await db.Grants.AnyAsync(g => g.SubjectId == token, ct);
    }

    /// <summary>The project that the request is about; null: the fleet.</summary>
    private static async Task<Guid?> ProjectAsync(ControlPlaneContext db, EndpointFilterInvocationContext context)
    {
        var ct = context.HttpContext.RequestAborted;
        if (Id(context, "projectId") is { } project)
            return project;
        if (Id(context, "vmId") is { } vm)
            return await db.Vms.Where(v => v.Id == vm).Select(v => (Guid?)v.ProjectId).SingleOrDefaultAsync(ct);
        if (Id(context, "operationId") is { } operation)
            return await db.Operations.Where(o => o.Id == operation).Select(o => o.ProjectId).SingleOrDefaultAsync(ct);
        if (Id(context, "tokenId") is { } token)
            return await db.Grants.Where(g => g.SubjectId == token).Select(g => g.ProjectId).FirstOrDefaultAsync(ct);
        return context.Arguments.Select(a => a switch
        {
            CreateVmRequest r => r.ProjectId ?? ProjectDto.DefaultId,
            CreateApiTokenRequest r => r.ProjectId,
            _ => null,
        }).FirstOrDefault(p => p is not null);
    }

    private static Guid? Id(EndpointFilterInvocationContext context, string name) => context.HttpContext.Request.RouteValues.TryGetValue(name, out var value) ? Guid.Parse((string)value!) : null;
}
