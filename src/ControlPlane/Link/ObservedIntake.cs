using System.Text.Json;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Database;
using Exitless.ControlPlane.Hosts;
using Exitless.ControlPlane.Operations;
using Exitless.ControlPlane.Vms;
using Microsoft.EntityFrameworkCore;

namespace Exitless.ControlPlane.Link;

/// <summary>Takes a host's report of what runs: updates its VMs, and ends the operations that it has met or that it says have failed.</summary>
internal sealed class ObservedIntake(ChangeRunner runner)
{
    public Task TakeAsync(Guid hostId, ObservedHost observed, CancellationToken ct) => runner.RunAsync(async (db, changes) =>
    {
        if (await db.LockHostAsync(hostId, ct) is not { } host)
            return;
        host.ObservedGeneration = observed.Generation;
        var vms = await db.Vms.Where(v => v.HostId == hostId).ToDictionaryAsync(v => v.Id, ct);
        var active = await db.Operations.Where(o => o.HostId == hostId && o.FinishedAt == null).OrderBy(o => o.Id).ToListAsync(ct);
        var underWay = vms.Values.Where(v => v.State is VmState.Starting or VmState.Running).ToDictionary(v => v.Id, v => v.ObservedGeneration);
        foreach (var vm in vms.Values)
        {
            var before = vm.State;
            if (observed.Vms.GetValueOrDefault(vm.Id) is not { } seen || !Take(vm, seen, changes))
                continue;
            changes.Announce(ChangeKind.Vm, vm.Id);
            if (before == VmState.Running && vm.State == VmState.Stopped && vm.Desired == DesiredRun.Running && !active.Exists(o => o.VmId == vm.Id))
                GuestEnded(db, changes, host, vm);
        }
        foreach (var operation in active)
        {
            var vm = operation.VmId is { } id ? vms.GetValueOrDefault(id) : null;
            var wasUnderWay = operation.VmId is { } v && underWay.TryGetValue(v, out var generation) && generation >= operation.Generation;
            var verdict = OperationJudge.Judge(operation, vm?.Desired == DesiredRun.Running, wasUnderWay, observed);
            if (verdict.State == operation.State && SameSteps(verdict.Steps, operation.Steps))
                continue;
            operation.State = verdict.State;
            operation.Steps = verdict.Steps;
            changes.Announce(ChangeKind.Operation, operation.Id);
            if (verdict.State is OperationState.Done or OperationState.Failed)
                await OperationEnding.EndAsync(db, changes, host, operation, verdict.State, verdict.Problem, ct);
        }
        // A VM that is not wanted any more, whose operation is over for whatever reason, and that the host has let go of.
        foreach (var vm in vms.Values.Where(v => v.Deleting && v.Generation <= observed.Generation && !observed.Vms.ContainsKey(v.Id) && db.Entry(v).State != EntityState.Deleted))
        {
            db.Vms.Remove(vm);
            changes.Announce(ChangeKind.Vm, vm.Id);
            changes.Announce(ChangeKind.Host, hostId);
        }
    }, ct);

    private static bool Take(VmRow vm, ObservedVmFacts seen, Changes changes)
    {
        var moved = Move(vm, seen.Locality);
        if (vm.State == seen.State && vm.ObservedGeneration == seen.Generation && vm.ProcessId == seen.ProcessId && vm.StartedAt == seen.StartedAt && vm.EndReason == seen.EndReason && vm.Problem == seen.Problem && SameSteps(vm.Steps, seen.Steps))
            return moved;
        vm.State = seen.State;
        vm.ObservedGeneration = seen.Generation;
        vm.Problem = seen.Problem;
        vm.Steps = seen.Steps;
        vm.ProcessId = seen.ProcessId;
        vm.StartedAt = seen.StartedAt;
        vm.EndReason = seen.EndReason;
        vm.ObservedAt = changes.Now;
        return true;
    }

    // Lists have no equality of their own; as they are stored they have.
    private static bool Move(VmRow vm, LocalityDto? seen)
    {
        if (JsonSerializer.Serialize(vm.Locality, Rest.JsonFormat.Options) == JsonSerializer.Serialize(seen, Rest.JsonFormat.Options))
            return false;
        vm.Locality = seen;
        return true;
    }

    /// <summary>A guest that powers itself off is obeyed: nobody wants it running any more. Any other end leaves the wish as it is, for people to see.</summary>
    private static void GuestEnded(ControlPlaneContext db, Changes changes, HostRow host, VmRow vm)
    {
        var poweredOff = vm.EndReason == "power-off";
        if (poweredOff)
        {
            vm.Desired = DesiredRun.Stopped;
            vm.Generation = changes.Want(host);
        }
        changes.Tell(db, "vm-ended", poweredOff ? EventSeverity.Info : EventSeverity.Error,
            poweredOff ? $"The guest of VM {vm.Name} powered itself off." : $"VM {vm.Name} ended: {vm.EndReason ?? "the host did not say how"}.", (host.Id, host.Name), (vm.Id, vm.Name));
    }

    private static bool SameSteps(IReadOnlyList<StepDto> a, IReadOnlyList<StepDto> b) => a.SequenceEqual(b);
}
