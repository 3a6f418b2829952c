using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Rest.Conventions;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;

namespace Exitless.ControlPlane.Rest;

/// <summary>Hosts, their devices and VFs. Public, because the API's description is drawn from its comments.</summary>
public static class HostEndpoints
{
    private static readonly string[] DeviceFilters = ["kind", "assignable", "pfAddress", "iommuGroup", "numaNode", "driver"];

    internal static void Map(IEndpointRouteBuilder api)
    {
        var hosts = api.MapGroup("/hosts").WithTags("Hosts");
        hosts.MapGet("", ListHosts).WithName(nameof(ListHosts)).Needs(Role.Viewer, Reach.Anywhere).ProducesProblem(400)
            .IsList<HostDto>(h => [h.Name, h.Id.ToString("D")], descending: false, "name", "connected").WithExample(200, new[] { Example.Host }, null, ("connected", "true"), ("limit", "50"));
        hosts.MapGet("/{hostId:guid}", GetHost).WithName(nameof(GetHost)).Needs(Role.Viewer, Reach.Anywhere).ProducesProblem(404).WithExample(200, Example.Host);
        hosts.MapGet("/{hostId:guid}/devices", ListHostDevices).WithName(nameof(ListHostDevices)).Needs(Role.Viewer, Reach.Anywhere).ProducesProblem(400).ProducesProblem(404)
            .IsList<DeviceDto>(Key, descending: false, DeviceFilters).WithExample(200, new[] { Example.Device }, null, ("kind", "pf"));
        hosts.MapGet("/{hostId:guid}/devices/{address}", GetHostDevice).WithName(nameof(GetHostDevice)).Needs(Role.Viewer, Reach.Anywhere).ProducesProblem(404).WithExample(200, Example.Device);
        hosts.MapGet("/{hostId:guid}/observed-vms", ListObservedVms).WithName(nameof(ListObservedVms)).Needs(Role.Viewer, Reach.Fleet).ProducesProblem(400).ProducesProblem(404)
            .IsList<ObservedVmDto>(v => [$"{v.ProcessId:D10}"]).WithExample(200, new[] { Example.ObservedVm });
        hosts.MapPost("/{hostId:guid}/devices/{address}/vfs", SetVfs).WithName(nameof(SetVfs)).Needs(Role.Operator, Reach.Fleet).ProducesProblem(400).ProducesProblem(404).ProducesProblem(409)
            .Changes(Resources.Device).WithExample(202, Example.Operation(OperationKind.SetVfs, $"Give {Example.Pf} on {Example.HostName} 4 VFs"), new SetVfsRequest(4));
        hosts.MapPost("/{hostId:guid}/actions/revoke", RevokeHost).WithName(nameof(RevokeHost)).Needs(Role.Admin, Reach.Fleet).ProducesProblem(404).Changes(Resources.Host).WithExample(200, Example.Host);
        api.MapGet("/devices", ListDevices).WithName(nameof(ListDevices)).Needs(Role.Viewer, Reach.Anywhere).WithTags("Hosts").ProducesProblem(400).ProducesProblem(404)
            .IsList<DeviceDto>(Key, descending: false, DeviceFilters).WithExample(200, new[] { Example.Device }, null, ("kind", "pf"), ("limit", "50"));
    }

    private static string[] Key(DeviceDto d) => [d.HostName, d.HostId.ToString("D"), d.Address];

    /// <summary>Lists the hosts, by name.</summary>
    public static async Task<Ok<IReadOnlyList<HostDto>>> ListHosts(IHostDirectory hosts, CancellationToken ct) => TypedResults.Ok(await hosts.ListAsync(ct));

    /// <summary>Shows one host: its link, its facts, and what it can do.</summary>
    /// <param name="hostId">The host's id.</param>
    /// <param name="hosts">The hosts.</param>
    /// <param name="ct">Ends with the request.</param>
    public static async Task<Ok<HostDto>> GetHost(Guid hostId, IHostDirectory hosts, CancellationToken ct) => TypedResults.Ok(await hosts.GetAsync(hostId, ct));

    /// <summary>Lists the PCI functions of one host, by address.</summary>
    /// <param name="hostId">The host's id.</param>
    /// <param name="hosts">The hosts.</param>
    /// <param name="ct">Ends with the request.</param>
    public static async Task<Ok<IReadOnlyList<DeviceDto>>> ListHostDevices(Guid hostId, IHostDirectory hosts, CancellationToken ct) => TypedResults.Ok(await hosts.ListDevicesAsync(hostId, ct));

    /// <summary>Shows one PCI function of a host.</summary>
    /// <param name="hostId">The host's id.</param>
    /// <param name="address">Its PCI address.</param>
    /// <param name="hosts">The hosts.</param>
    /// <param name="ct">Ends with the request.</param>
    public static async Task<Ok<DeviceDto>> GetHostDevice(Guid hostId, string address, IHostDirectory hosts, CancellationToken ct)
    {
        ArgumentNullException.ThrowIfNull(hosts);
        var devices = await hosts.ListDevicesAsync(hostId, ct);
        return TypedResults.Ok(devices.FirstOrDefault(d => d.Address == address) ?? throw ProblemException.ForField(
            ProblemKind.NotFound, "device-not-found", "Device not found.", "address", $"The host has no PCI device '{address}'.", $"Take an address from /api/v1/hosts/{hostId:D}/devices."));
    }

    /// <summary>Lists the VMs that run on a host and that Exitless did not start, with the grade of each of their vectors; none while the host's link is lost.</summary>
    /// <param name="hostId">The host's id.</param>
    /// <param name="hosts">The hosts.</param>
    /// <param name="ct">Ends with the request.</param>
    public static async Task<Ok<IReadOnlyList<ObservedVmDto>>> ListObservedVms(Guid hostId, IHostDirectory hosts, CancellationToken ct) => TypedResults.Ok(await hosts.ListObservedVmsAsync(hostId, ct));

    /// <summary>Lists the PCI functions of all hosts, or of one.</summary>
    /// <param name="hostId">Of this host only.</param>
    /// <param name="hosts">The hosts.</param>
    /// <param name="ct">Ends with the request.</param>
    public static async Task<Ok<IReadOnlyList<DeviceDto>>> ListDevices(Guid? hostId, IHostDirectory hosts, CancellationToken ct) => TypedResults.Ok(await hosts.ListDevicesAsync(hostId, ct));

    /// <summary>Gives a PF a number of VFs. None of its VFs may be in use: the kernel removes them all before it makes the new ones.</summary>
    /// <param name="hostId">The host's id.</param>
    /// <param name="address">The PF's PCI address.</param>
    /// <param name="request">How many.</param>
    /// <param name="wait">Seconds to wait for the operation's end, 0 to 300; also <c>Prefer: wait=n</c>.</param>
    /// <param name="hosts">The hosts.</param>
    /// <param name="operations">The operations.</param>
    /// <param name="context">The request.</param>
    public static Task<Accepted<OperationDto>> SetVfs(Guid hostId, string address, SetVfsRequest request, int? wait, IHostDirectory hosts, IOperationLog operations, HttpContext context) =>
        Answers.AcceptedAsync(context, operations, wait, () => hosts.SetVfsAsync(hostId, address, request, Actor.From(context.User), context.RequestAborted));

    /// <summary>Revokes every certificate of a host's agent and closes its link. Its VMs run on, unseen, until it enrols again.</summary>
    /// <param name="hostId">The host's id.</param>
    /// <param name="hosts">The hosts.</param>
    /// <param name="context">The request.</param>
    public static async Task<Ok<HostDto>> RevokeHost(Guid hostId, IHostDirectory hosts, HttpContext context) => TypedResults.Ok(await hosts.RevokeAsync(hostId, Actor.From(context.User), context.RequestAborted));
}
