using Exitless.ControlPlane.Access;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Database;
using Exitless.ControlPlane.Hosts;
using Exitless.ControlPlane.Identity;
using Exitless.ControlPlane.Operations;
using Exitless.ControlPlane.Projects;
using Exitless.ControlPlane.Vms;
using Exitless.ControlPlane.Webhooks;
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

    public static readonly Resource Project = new("/projects/{projectId}",
        (db, route, ct) => db.Database.ExecuteSqlAsync($"SELECT 1 FROM projects WHERE id = {Id(route, "projectId")} FOR UPDATE", ct),
        async (_, db, route, ct) => await ProjectDirectory.GetAsync(db, Id(route, "projectId"), ct));

    public static readonly Resource Person = new("/people/{personId}",
        (db, route, ct) => db.Database.ExecuteSqlAsync($"SELECT 1 FROM people WHERE id = {Id(route, "personId")} FOR UPDATE", ct),
        async (services, db, route, ct) => await ((PeopleDirectory)services.GetRequiredService<IPeopleDirectory>()).GetAsync(db, Id(route, "personId"), ct));

    public static readonly Resource Webhook = new("/webhooks/{webhookId}",
        (db, route, ct) => db.Database.ExecuteSqlAsync($"SELECT 1 FROM webhooks WHERE id = {Id(route, "webhookId")} FOR UPDATE", ct),
        async (_, db, route, ct) => await WebhookDirectory.GetAsync(db, Id(route, "webhookId"), ct));

    private static Task<int> LockHostAsync(ControlPlaneContext db, RouteValueDictionary route, CancellationToken ct) =>
        db.Database.ExecuteSqlAsync($"SELECT 1 FROM hosts WHERE id = {Id(route, "hostId")} FOR UPDATE", ct);

    // The route's own constraint has seen to it that it is one.
    private static Guid Id(RouteValueDictionary route, string name) => Guid.Parse((string)route[name]!);
}
