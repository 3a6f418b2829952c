using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Rest.Conventions;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;

namespace Exitless.ControlPlane.Rest;

/// <summary>Where a VM would go. Public, because the API's description is drawn from its comments.</summary>
public static class PlacementEndpoint
{
    private const int Hosts = 100, DefaultMib = 512;

    internal static void Map(IEndpointRouteBuilder api) =>
        api.MapGet("/placement", PlanPlacement).WithName(nameof(PlanPlacement)).WithTags("VMs").ProducesProblem(400).Needs(Role.Viewer, Reach.Fleet)
            .WithExample(200, Example.Placement, null, ("vcpus", "2"), ("memoryMib", "512"), ("vfs", "1"), ("kernel", Example.Kernel));

    /// <summary>Says where a VM would go, and for each other host why not there. Nothing is reserved: create the VM with the host and the devices of the answer, and ask again when somebody was quicker.</summary>
    /// <param name="vcpus">vCPUs, 1 to 64; default 1.</param>
    /// <param name="memoryMib">Memory in MiB, from 1; default 512.</param>
    /// <param name="vfs">VFs, 0 to 64; default 0.</param>
    /// <param name="kernel">An image that the host must have.</param>
    /// <param name="initrd">An image that the host must have.</param>
    /// <param name="oneNode">Whether all VFs must be on one NUMA node; default false: where it is possible.</param>
    /// <param name="policy">Of the hosts that fit, the one with the largest share of its memory left ('spread', the default) or the smallest ('pack').</param>
    /// <param name="limit">At most this many hosts are told of, 1 to 1000; default 100.</param>
    /// <param name="placement">Finds hosts.</param>
    /// <param name="ct">Ends with the request.</param>
    public static async Task<Ok<PlacementDto>> PlanPlacement(int? vcpus, int? memoryMib, int? vfs, string? kernel, string? initrd, bool? oneNode, string? policy, int? limit, IPlacement placement, CancellationToken ct) =>
        TypedResults.Ok(await placement.PlanAsync(new PlacementRequest(
            vcpus ?? 1, memoryMib ?? DefaultMib, vfs ?? 0, kernel, initrd, oneNode ?? false, MemberFilter.Named<PlacementPolicy>("policy", policy) ?? PlacementPolicy.Spread, limit ?? Hosts), ct));
}
