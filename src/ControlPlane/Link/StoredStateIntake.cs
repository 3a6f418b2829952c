using Exitless.Contracts;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Backup;
using Exitless.ControlPlane.Database;
using Exitless.ControlPlane.Hosts;
using Grpc.Core;
using Microsoft.EntityFrameworkCore;

namespace Exitless.ControlPlane.Link;

/// <summary>
/// Takes over what a host was last told, when that is newer than the database: after a restore, the host's copy is the only one left of what was
/// acknowledged since the backup. What the host was never told is not lost either: it is on no host.
/// </summary>
internal sealed class StoredStateIntake(ChangeRunner runner)
{
    /// <summary>Whether a host's copy must be read before anything is wanted of it.</summary>
    public static bool IsNeeded(HostRow host, ulong stored) => host.Recovering || (stored > (ulong)host.WantedGeneration && stored < long.MaxValue);

    /// <summary>Makes VMs and VFs wanted as the host has them; the host's unfinished operations end.</summary>
    /// <exception cref="RpcException">A VM of the host is another host's here: nothing is changed.</exception>
    public Task TakeAsync(Guid hostId, WantedState stored, CancellationToken ct) => runner.RunAsync(async (db, changes) =>
    {
        if (await db.LockHostAsync(hostId, ct) is not { } host || !IsNeeded(host, stored.Generation))
            return;
        host.Recovering = false;
        changes.Announce(ChangeKind.Host, hostId);
        // An agent that was installed anew has nothing to hand over: the database is the newer copy.
        if (stored.Generation is 0 or >= long.MaxValue)
            return;
        var taken = await TakeVmsAsync(db, changes, host, stored, ct);
        await TakePfsAsync(db, host, stored, ct);
        await EndOperationsAsync(db, changes, host, ct);
        // The host has this one already, unless something else is wanted of it since.
        host.WantedGeneration = taken.Differs || host.WantedGeneration > (long)stored.Generation ? Math.Max(host.WantedGeneration, (long)stored.Generation) + 1 : (long)stored.Generation;
        host.OfferedGeneration = Math.Max(host.OfferedGeneration, (long)stored.Generation);
        changes.Tell(db, "host-recovered", EventSeverity.Warning, $"The database was older than {host.Name}, whose own copy of what is wanted (generation {stored.Generation}) was taken over: {taken.Words}.", (host.Id, host.Name));
    }, ct);

    private sealed record Taken(string Words, bool Differs);

    private static async Task<Taken> TakeVmsAsync(ControlPlaneContext db, Changes changes, HostRow host, WantedState stored, CancellationToken ct)
    {
        var known = await db.Vms.Include(v => v.Devices).Where(v => v.HostId == host.Id).ToDictionaryAsync(v => v.Id, ct);
        var wanted = stored.Vms.Where(v => Guid.TryParse(v.VmId, out _)).DistinctBy(v => Guid.Parse(v.VmId)).ToDictionary(v => Guid.Parse(v.VmId));
        var elsewhere = await db.Vms.Where(v => wanted.Keys.Contains(v.Id) && v.HostId != host.Id).Select(v => v.Name).FirstOrDefaultAsync(ct);
        if (elsewhere is not null)
            throw new RpcException(new Status(StatusCode.FailedPrecondition, $"The restored database has VM {elsewhere} on another host, and {host.Name} says that it has it too. Delete the one that is wrong, then connect again."));
        var gone = known.Values.Where(v => !wanted.ContainsKey(v.Id)).ToList();
        // Rows of before go first: what they own, VFs and names, the new ones may own now.
        db.Vms.RemoveRange(known.Values);
        await db.SaveChangesAsync(ct);
        var names = await db.Vms.Select(v => v.Name).ToHashSetAsync(StringComparer.Ordinal, ct);
        var renamed = false;
        foreach (var (id, vm) in wanted)
        {
            var name = LinkMapping.Clean(vm.Name);
            if (names.Contains(name))
            {
                // Its namesake may itself be gone on a host that has not come back yet.
                name = $"{(name.Length > 50 ? name[..50] : name)}-{id.ToString("N")[^12..]}";
                renamed = true;
            }
            names.Add(name);
            db.Vms.Add(StoredVm.Row(id, host, name, vm, known.GetValueOrDefault(id), changes.Now));
            changes.Announce(ChangeKind.Vm, id);
        }
        foreach (var vm in gone)
            changes.Announce(ChangeKind.Vm, vm.Id);
        var added = wanted.Keys.Where(id => !known.ContainsKey(id)).Select(id => LinkMapping.Clean(wanted[id].Name)).ToList();
        return new Taken($"{Listed("new", added)}, {Listed("gone", [.. gone.Select(v => v.Name)])}, {wanted.Count - added.Count} as they were or changed", renamed);
    }

    private static async Task TakePfsAsync(ControlPlaneContext db, HostRow host, WantedState stored, CancellationToken ct)
    {
        await db.Pfs.Where(p => p.HostId == host.Id).ExecuteDeleteAsync(ct);
        foreach (var pf in stored.Pfs.DistinctBy(p => p.Address))
            db.Pfs.Add(new PfRow { HostId = host.Id, Address = LinkMapping.Clean(pf.Address), NumVfs = (int)Math.Min(pf.NumVfs, ushort.MaxValue), Generation = (long)pf.Generation });
    }

    private static async Task EndOperationsAsync(ControlPlaneContext db, Changes changes, HostRow host, CancellationToken ct)
    {
        foreach (var operation in await db.Operations.Where(o => o.HostId == host.Id && o.FinishedAt == null).ToListAsync(ct))
        {
            RestoreMark.Cut(operation, changes.Now);
            changes.Announce(ChangeKind.Operation, operation.Id);
        }
    }

    private static string Listed(string what, List<string> names) => names.Count == 0 ? $"0 {what}" : $"{names.Count} {what} ({string.Join(", ", names.Take(20))}{(names.Count > 20 ? ", ..." : "")})";
}
