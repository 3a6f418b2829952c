using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Database;
using Exitless.ControlPlane.Hosts;
using Exitless.ControlPlane.Identity;
using Exitless.ControlPlane.Operations;
using Exitless.ControlPlane.Vms;
using Microsoft.AspNetCore.Routing;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;

namespace Exitless.ControlPlane.Rest.Conventions;

/// <summary>The resources that can be changed. Each is read within the changing transaction, under the lock that all changes of it take.</summary>
internal static class Resources
{
    public static readonly Resource Host = new("/hosts/{hostId}", LockHostAsync,
        async (services, db, route, ct) => await ((HostDirectory)services.GetRequiredService<IHostDirectory>()).GetAsync(db, Id(route, "hostId"), ct));

    public static readonly Resource Device = new("/hosts/{hostId}/devices/{address}", LockHostAsync,
        async (_, db, route, ct) => await HostDirectory.GetDeviceAsync(db, Id(route, "hostId"), (string)route["address"]!, ct));

    public static readonly Resource Vm = new("/vms/{vmId}",
        (db, route, ct) => db.Database.ExecuteSqlAsync($"SELECT 1 FROM hosts WHERE id = (SELECT host_id FROM vms WHERE id = {Id(route, "vmId")}) FOR UPDATE", ct),
        async (services, db, route, ct) => await ((VmService)services.GetRequiredService<IVmService>()).GetAsync(db, Id(route, "vmId"), ct));

    public static readonly Resource Operation = new("/operations/{operationId}",
        (db, route, ct) => db.Database.ExecuteSqlAsync($"SELECT 1 FROM hosts WHERE id = (SELECT host_id FROM operations WHERE id = {Id(route, "operationId")}) FOR UPDATE", ct),
        async (services, db, route, ct) => await ((OperationLog)services.GetRequiredService<IOperationLog>()).GetAsync(db, Id(route, "operationId"), ct));

    public static readonly Resource ApiToken = new("/tokens/{tokenId}",
        (db, route, ct) => db.Database.ExecuteSqlAsync($"SELECT 1 FROM api_tokens WHERE id = {Id(route, "tokenId")} FOR UPDATE", ct),
        async (_, db, route, ct) => await ApiTokens.GetAsync(db, Id(route, "tokenId"), ct));

    public static readonly Resource EnrolmentToken = new("/enrolment-tokens/{tokenId}",
        (db, route, ct) => db.Database.ExecuteSqlAsync($"SELECT 1 FROM enrolment_tokens WHERE id = {Id(route, "tokenId")} FOR UPDATE", ct),
        async (_, db, route, ct) => await EnrolmentTokens.GetAsync(db, Id(route, "tokenId"), ct));

    private static Task<int> LockHostAsync(ControlPlaneContext db, RouteValueDictionary route, CancellationToken ct) =>
        db.Database.ExecuteSqlAsync($"SELECT 1 FROM hosts WHERE id = {Id(route, "hostId")} FOR UPDATE", ct);

    // The route's own constraint has seen to it that it is one.
    private static Guid Id(RouteValueDictionary route, string name) => Guid.Parse((string)route[name]!);
}
