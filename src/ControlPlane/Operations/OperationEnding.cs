using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Database;
using Exitless.ControlPlane.Hosts;
using Microsoft.EntityFrameworkCore;

namespace Exitless.ControlPlane.Operations;

/// <summary>Ends operations, and brings what is wanted in line with how they ended. The caller holds the host's lock.</summary>
internal static class OperationEnding
{
    /// <summary>Ends an operation as done, failed or cancelled.</summary>
    public static async Task EndAsync(ControlPlaneContext db, Changes changes, HostRow host, OperationRow operation, OperationState state, ProblemDto? problem, CancellationToken ct, Actor? by = null)
    {
        operation.State = state;
        operation.Problem = problem;
        operation.FinishedAt = changes.Now;
        changes.Announce(ChangeKind.Operation, operation.Id);
        if (operation.VmId is { } vmId)
            changes.Announce(ChangeKind.Vm, vmId);
        changes.Announce(ChangeKind.Host, host.Id);
        if (operation.Kind == OperationKind.DeleteVm && state == OperationState.Done && await db.Vms.FindAsync([operation.VmId], ct) is { } gone)
            db.Vms.Remove(gone);
        if (operation.Kind == OperationKind.SetVfs)
            await SettlePfAsync(db, changes, host, operation, state, problem, ct);
        var title = OperationView.Title(operation);
        changes.Tell(db,
            state switch { OperationState.Done => "operation-done", OperationState.Cancelled => "operation-cancelled", _ => "operation-failed" },
            state == OperationState.Failed ? EventSeverity.Error : EventSeverity.Info,
            state switch { OperationState.Done => $"{title}: done.", OperationState.Cancelled => $"{title}: cancelled. {problem?.Title}".TrimEnd(), _ => $"{title}: failed. {problem?.Title} {problem?.Detail}".TrimEnd() },
            (host.Id, host.Name), operation.VmId is { } id ? (id, operation.VmName ?? "") : null, operation.Device, by ?? new Actor(operation.RequestedBy));
    }

    /// <summary>
    /// Takes back what an operation asked for. What the host has not been told yet is taken back as if it had never been; a start or a creation
    /// that it knows of is turned round. False: neither is possible.
    /// </summary>
    public static async Task<bool> TakeBackAsync(ControlPlaneContext db, Changes changes, HostRow host, OperationRow operation, TimeSpan limit, CancellationToken ct)
    {
        var told = operation.Generation <= host.OfferedGeneration;
        if (told && operation.Kind is not (OperationKind.StartVm or OperationKind.CreateVm))
            return false;
        if (operation.Kind == OperationKind.SetVfs)
        {
            await RestorePfAsync(db, changes, host, operation, ct);
            return true;
        }
        if (await db.Vms.SingleOrDefaultAsync(v => v.Id == operation.VmId, ct) is not { } vm)
            return true;
        switch (operation.Kind)
        {
            case OperationKind.CreateVm when !told:
                db.Vms.Remove(vm);
                changes.Want(host);
                break;
            case OperationKind.CreateVm:
                vm.Deleting = true;
                vm.Desired = DesiredRun.Off;
                vm.Generation = changes.Want(host);
                db.Operations.Add(OperationRow.Waiting(changes, host, vm, OperationKind.DeleteVm, vm.Generation, Actor.ControlPlane, limit, previous: DesiredRun.Off));
                break;
            case OperationKind.SwitchInterrupts:
                vm.Switches = operation.PreviousSwitches ?? [];
                vm.Generation = changes.Want(host);
                break;
            case OperationKind.DeleteVm:
                vm.Deleting = false;
                vm.Generation = changes.Want(host);
                break;
            default:
                vm.Desired = operation.Kind == OperationKind.StartVm ? DesiredRun.Off : operation.PreviousRun ?? vm.Desired;
                vm.Generation = changes.Want(host);
                break;
        }
        return true;
    }

    /// <summary>A count that could not be had is not wanted any longer: a host would try it again at every start.</summary>
    private static async Task SettlePfAsync(ControlPlaneContext db, Changes changes, HostRow host, OperationRow operation, OperationState state, ProblemDto? problem, CancellationToken ct)
    {
        if (state == OperationState.Failed)
            await RestorePfAsync(db, changes, host, operation, ct);
        if (await db.Pfs.FindAsync([host.Id, operation.Device], ct) is { } pf && db.Entry(pf).State != EntityState.Deleted)
            pf.Problem = problem;
    }

    private static async Task RestorePfAsync(ControlPlaneContext db, Changes changes, HostRow host, OperationRow operation, CancellationToken ct)
    {
        if (await db.Pfs.FindAsync([host.Id, operation.Device], ct) is not { } pf || pf.Generation != operation.Generation)
            return;
        var generation = changes.Want(host);
        if (operation.PreviousCount is { } count)
            (pf.NumVfs, pf.Generation) = (count, generation);
        else
            db.Pfs.Remove(pf);
    }
}
