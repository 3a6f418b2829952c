using System.Globalization;
using System.Text.Json;
using Exitless.ControlPlane.Access;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Database;
using Exitless.ControlPlane.Hosts;
using Exitless.ControlPlane.Link;
using Exitless.ControlPlane.Operations;
using Exitless.ControlPlane.Rest;
using Exitless.ControlPlane.Vms;
using Microsoft.EntityFrameworkCore;

namespace Exitless.ControlPlane.Fleet;

/// <inheritdoc />
internal sealed class FleetLists(DatabaseServer database, IDbContextFactory<ControlPlaneContext> contexts, LinkRegistry links, HostDirectory hosts, VmService vms, OperationLog operations) : IFleetLists
{
    public async Task<ListPage<HostDto>> HostsAsync(ListQuery query, CancellationToken ct)
    {
        var found = await FleetSql.Hosts.ReadAsync(database, links.Connected, query, r => r.GetGuid(0), ct);
        return InOrder(found, await hosts.ReadAsync(found.Items, ct), h => h.Id);
    }

    public async Task<ListPage<VmDto>> VmsAsync(ListQuery query, CancellationToken ct)
    {
        var found = await FleetSql.Vms.ReadAsync(database, links.Connected, query, r => r.GetGuid(0), ct);
        return InOrder(found, await vms.ReadAsync(found.Items, ct), v => v.Id);
    }

    public async Task<ListPage<DeviceDto>> DevicesAsync(ListQuery query, CancellationToken ct)
    {
        var found = await FleetSql.Devices.ReadAsync(database, links.Connected, query, r => (r.GetGuid(0), r.GetString(1)), ct);
        return InOrder(found, await hosts.ReadDevicesAsync([.. found.Items.Select(d => d.Item1).Distinct()], ct), d => (d.HostId, d.Address));
    }

    public async Task<ListPage<OperationDto>> OperationsAsync(ListQuery query, CancellationToken ct)
    {
        var found = await FleetSql.Operations.ReadAsync(database, links.Connected, query, r => r.GetGuid(0), ct);
        return InOrder(found, await operations.ReadAsync(found.Items, ct), o => o.Id);
    }

    public async Task<ListPage<EventDto>> EventsAsync(ListQuery query, CancellationToken ct)
    {
        var found = await FleetSql.Events.ReadAsync(database, links.Connected, query, r => r.GetGuid(0), ct);
        await using var db = await contexts.CreateDbContextAsync(ct);
        var rows = await db.Events.AsNoTracking().Where(e => found.Items.Contains(e.Id)).ToListAsync(ct);
        return InOrder(found, [.. rows.Select(r => r.ToDto())], e => e.Id);
    }

    public async Task<ListPage<AuditDto>> AuditAsync(ListQuery query, Actor by, CancellationToken ct)
    {
        await using var db = await contexts.CreateDbContextAsync(ct);
        if (by.Id is { } reader)
            (await Rights.OfAsync(db, reader, ct)).Demand(Role.Admin, null);
        var found = await FleetSql.Audit.ReadAsync(database, links.Connected, query, r => r.GetGuid(0), ct);
        var rows = await db.Audit.AsNoTracking().Where(a => found.Items.Contains(a.Id)).ToListAsync(ct);
        return InOrder(found, [.. rows.Select(r => r.ToDto())], a => a.Id);
    }

    public Task<ListPage<FindingDto>> FindingsAsync(ListQuery query, CancellationToken ct) =>
        FleetSql.Findings.ReadAsync(database, links.Connected, query, r =>
        {
            var finding = JsonSerializer.Deserialize<StoredFinding>(r.GetString(3), JsonFormat.Options)!;
            return new FindingDto(r.GetGuid(0), r.GetString(1), finding.Id, finding.Subject, finding.Severity, finding.Title, finding.Evidence, finding.Remedy, finding.NeedsReboot, DateTimeOffset.Parse(r.GetString(2), CultureInfo.InvariantCulture));
        }, ct);

    // What went between the two readings is left out; the change feed has told of it, and the list is read again.
    private static ListPage<T> InOrder<T, TKey>(ListPage<TKey> found, IReadOnlyList<T> rows, Func<T, TKey> key)
        where TKey : notnull
    {
        var byKey = rows.ToDictionary(key);
        return new ListPage<T>([.. found.Items.Where(byKey.ContainsKey).Select(k => byKey[k])], found.Total);
    }
}
