using Exitless.ControlPlane.Access;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Configuration;
using Exitless.ControlPlane.Database;
using Exitless.ControlPlane.Link;
using Exitless.ControlPlane.Operations;
using Grpc.Core;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;

namespace Exitless.ControlPlane.Hosts;

/// <inheritdoc />
internal sealed class HostDirectory(
    IDbContextFactory<ControlPlaneContext> contexts, ChangeRunner runner, LinkRegistry links, IOperationLog operations, IOptions<ControlPlaneOptions> options) : IHostDirectory
{
    public async Task<IReadOnlyList<HostDto>> ListAsync(CancellationToken ct)
    {
        await using var db = await contexts.CreateDbContextAsync(ct);
        return await ReadAsync(db, null, ct);
    }

    /// <summary>These hosts, by name.</summary>
    internal async Task<IReadOnlyList<HostDto>> ReadAsync(IReadOnlyList<Guid> hostIds, CancellationToken ct)
    {
        await using var db = await contexts.CreateDbContextAsync(ct);
        return await ReadAsync(db, hostIds, ct);
    }

    /// <summary>Devices of these hosts.</summary>
    internal async Task<IReadOnlyList<DeviceDto>> ReadDevicesAsync(IReadOnlyList<Guid> hostIds, CancellationToken ct)
    {
        await using var db = await contexts.CreateDbContextAsync(ct);
        return await DevicesAsync(db, await db.Hosts.AsNoTracking().Where(h => hostIds.Contains(h.Id)).ToDictionaryAsync(h => h.Id, h => h.Name, ct), hostIds, ct);
    }

    public async Task<HostDto> GetAsync(Guid hostId, CancellationToken ct)
    {
        await using var db = await contexts.CreateDbContextAsync(ct);
        return await GetAsync(db, hostId, ct);
    }

    internal async Task<HostDto> GetAsync(ControlPlaneContext db, Guid hostId, CancellationToken ct) =>
        (await ReadAsync(db, [hostId], ct)).SingleOrDefault() ?? throw ProblemException.NotFound("Host", hostId);

    /// <summary>One device of a host; <see cref="ProblemException"/> <c>host-not-found</c> or <c>device-not-found</c>.</summary>
    internal static async Task<DeviceDto> GetDeviceAsync(ControlPlaneContext db, Guid hostId, string address, CancellationToken ct)
    {
        var host = await db.Hosts.AsNoTracking().SingleOrDefaultAsync(h => h.Id == hostId, ct) ?? throw ProblemException.NotFound("Host", hostId);
        return (await DevicesAsync(db, new Dictionary<Guid, string> { [hostId] = host.Name }, [hostId], ct)).Find(d => d.Address == address) ?? throw VfRules.NoDevice(host, address);
    }

    public async Task<IReadOnlyList<DeviceDto>> ListDevicesAsync(Guid? hostId, CancellationToken ct)
    {
        await using var db = await contexts.CreateDbContextAsync(ct);
        var hosts = await db.Hosts.AsNoTracking().Where(h => hostId == null || h.Id == hostId).ToDictionaryAsync(h => h.Id, h => h.Name, ct);
        if (hostId is { } id && hosts.Count == 0)
            throw ProblemException.NotFound("Host", id);
        return await DevicesAsync(db, hosts, hostId is { } one ? [one] : null, ct);
    }

    public async Task<IReadOnlyList<ObservedVmDto>> ListObservedVmsAsync(Guid hostId, CancellationToken ct)
    {
        await using var db = await contexts.CreateDbContextAsync(ct);
        if (!await db.Hosts.AnyAsync(h => h.Id == hostId, ct))
            throw ProblemException.NotFound("Host", hostId);
        return links.Find(hostId)?.ObservedVms ?? [];
    }

    public async Task<OperationDto> SetVfsAsync(Guid hostId, string address, SetVfsRequest request, Actor by, CancellationToken ct)
    {
        var id = await runner.RunAsync(async (db, changes) =>
        {
            await Rights.DemandAsync(db, changes, by, Role.Operator, null, ct);
            var host = await db.LockHostAsync(hostId, ct) ?? throw ProblemException.NotFound("Host", hostId);
            var devices = await db.Devices.AsNoTracking().Where(d => d.HostId == hostId).ToListAsync(ct);
            var owners = await OwnersAsync(db, hostId, ct);
            VfRules.Check(host, address, request.Count, devices, owners);
            if (await db.Operations.SingleOrDefaultAsync(o => o.HostId == hostId && o.Device == address && o.FinishedAt == null, ct) is { } active)
                throw new ProblemException(ProblemKind.Conflict, "operation-active", "The PF is being changed already.", $"'{OperationView.Title(active)}' (operation {active.Id:D}) is not over.", "Wait until it ends, or cancel it.");
            var pf = await db.Pfs.SingleOrDefaultAsync(p => p.HostId == hostId && p.Address == address, ct);
            var operation = OperationRow.Waiting(
                changes, host, vm: null, OperationKind.SetVfs, changes.Want(host), by, options.Value.OperationLimit, device: address, previousCount: pf?.NumVfs, count: request.Count);
            db.Operations.Add(operation);
            if (pf is null)
                db.Pfs.Add(pf = new PfRow { HostId = hostId, Address = address, NumVfs = request.Count, Generation = operation.Generation });
            (pf.NumVfs, pf.Generation, pf.Problem) = (request.Count, operation.Generation, null);
            changes.Tell(db, "vfs-requested", EventSeverity.Info, $"{by.Name} asked for {request.Count} VFs on {address}.", (host.Id, host.Name), device: address, by: by);
            changes.Announce(ChangeKind.Host, hostId);
            changes.Announce(ChangeKind.Operation, operation.Id);
            return operation.Id;
        }, ct);
        return await operations.GetAsync(id, ct);
    }

    public async Task<HostDto> RevokeAsync(Guid hostId, Actor by, CancellationToken ct)
    {
        await runner.RunAsync(async (db, changes) =>
        {
            await Rights.DemandAsync(db, changes, by, Role.Admin, null, ct);
            var host = await db.LockHostAsync(hostId, ct) ?? throw ProblemException.NotFound("Host", hostId);
            await db.AgentCertificates.Where(c => c.HostId == hostId && c.RevokedAt == null).ExecuteUpdateAsync(s => s.SetProperty(c => c.RevokedAt, changes.Now), ct);
            host.RevokedAt ??= changes.Now;
            // Nobody will finish them any more.
            foreach (var operation in await db.Operations.Where(o => o.HostId == hostId && o.FinishedAt == null).ToListAsync(ct))
            {
                await OperationEnding.TakeBackAsync(db, changes, host, operation, options.Value.OperationLimit, ct);
                await OperationEnding.EndAsync(db, changes, host, operation, OperationState.Failed, new ProblemDto("host-revoked", "The host's certificates were revoked.", $"{by.Name} revoked {host.Name}.", "Enrol the host again, then ask again.", null), ct, by);
            }
            changes.Tell(db, "host-revoked", EventSeverity.Warning, $"{by.Name} revoked the certificates of {host.Name}.", (host.Id, host.Name), by: by);
            changes.Announce(ChangeKind.Host, hostId);
        }, ct);
        links.Find(hostId)?.Close(StatusCode.Unauthenticated, "The host's certificates were revoked. Enrol it again with a new token if it shall come back.");
        return await GetAsync(hostId, ct);
    }

    /// <summary>VFs of a host that have an owner.</summary>
    internal static async Task<Dictionary<string, VmReferenceDto>> OwnersAsync(ControlPlaneContext db, Guid hostId, CancellationToken ct) =>
        await (from d in db.VmDevices join v in db.Vms on d.VmId equals v.Id where d.HostId == hostId select new { d.Address, v.Id, v.Name })
            .ToDictionaryAsync(d => d.Address, d => new VmReferenceDto(d.Id, d.Name), StringComparer.Ordinal, ct);

    private async Task<List<HostDto>> ReadAsync(ControlPlaneContext db, IReadOnlyList<Guid>? hostIds, CancellationToken ct)
    {
        var rows = await db.Hosts.AsNoTracking().Where(h => hostIds == null || hostIds.Contains(h.Id)).OrderBy(h => h.Name).ThenBy(h => h.Id).ToListAsync(ct);
        var vms = await db.Vms.Where(v => hostIds == null || hostIds.Contains(v.HostId)).GroupBy(v => v.HostId).Select(g => new { g.Key, Count = g.Count() }).ToDictionaryAsync(g => g.Key, g => g.Count, ct);
        var ends = await db.AgentCertificates.Where(c => (hostIds == null || hostIds.Contains(c.HostId)) && c.RevokedAt == null).GroupBy(c => c.HostId).Select(g => new { g.Key, End = g.Max(c => c.NotAfter) }).ToDictionaryAsync(g => g.Key, g => g.End, ct);
        var devices = (await DevicesAsync(db, rows.ToDictionary(r => r.Id, r => r.Name), hostIds, ct)).Where(d => d.Kind == DeviceKind.Vf).ToLookup(d => d.HostId);
        return [.. rows.Select(h => new HostDto(
            h.Id, h.Name, links.IsConnected(h.Id), h.LastSeenAt, h.EnrolledAt, h.RevokedAt, ends.TryGetValue(h.Id, out var end) ? end : null, h.AgentVersion, h.Facts, h.Capabilities,
            vms.GetValueOrDefault(h.Id), devices[h.Id].Count(), devices[h.Id].Count(d => d.Assignable)))];
    }

    private static async Task<List<DeviceDto>> DevicesAsync(ControlPlaneContext db, Dictionary<Guid, string> hosts, IReadOnlyList<Guid>? hostIds, CancellationToken ct)
    {
        var rows = await db.Devices.AsNoTracking().Where(d => hostIds == null || hostIds.Contains(d.HostId)).ToListAsync(ct);
        var owners = await (from d in db.VmDevices join v in db.Vms on d.VmId equals v.Id where hostIds == null || hostIds.Contains(d.HostId) select new { d.HostId, d.Address, v.Id, v.Name })
            .ToDictionaryAsync(d => (d.HostId, d.Address), d => new VmReferenceDto(d.Id, d.Name), ct);
        var pfs = await db.Pfs.AsNoTracking().Where(p => hostIds == null || hostIds.Contains(p.HostId)).ToDictionaryAsync(p => (p.HostId, p.Address), ct);
        return [.. rows.OrderBy(d => hosts.GetValueOrDefault(d.HostId), StringComparer.Ordinal).ThenBy(d => d.HostId).ThenBy(d => d.Address, StringComparer.Ordinal).Select(d =>
        {
            var (f, owner, pf) = (d.Facts, owners.GetValueOrDefault((d.HostId, d.Address)), pfs.GetValueOrDefault((d.HostId, d.Address)));
            var kind = d.PfAddress is not null ? DeviceKind.Vf : f.TotalVfs > 0 ? DeviceKind.Pf : DeviceKind.Plain;
            return new DeviceDto(
                d.HostId, hosts.GetValueOrDefault(d.HostId, ""), d.Address, kind, f.Name, f.VendorId, f.DeviceId, f.ClassCode, f.Driver, f.IommuGroup, f.NumaNode, d.PfAddress, f.VfIndex,
                f.TotalVfs, f.NumVfs, pf?.NumVfs, f.NetInterfaces, f.Mac, f.LinkUp, f.InUse, owner, kind == DeviceKind.Vf && owner is null && f.InUse is null && f.IommuGroup is not null, pf?.Problem);
        })];
    }
}
