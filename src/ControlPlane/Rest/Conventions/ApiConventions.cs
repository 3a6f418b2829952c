using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Exitless.ControlPlane.Rest.Conventions;

/// <summary>Puts what all operations have in common onto a group of endpoints.</summary>
internal static class ApiConventions
{
    public static RouteGroupBuilder WithApiConventions(this RouteGroupBuilder api) =>
        api.AddEndpointFilter<RouteGroupBuilder, NeedsFilter>().AddEndpointFilter<RouteGroupBuilder, ReadFilter>().AddEndpointFilter<RouteGroupBuilder, ChangeFilter>();
}
