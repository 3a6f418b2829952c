using Exitless.ControlPlane.Api;

namespace Exitless.ControlPlane.Operations;

/// <summary>Where an operation stands after a report.</summary>
internal sealed record Verdict(OperationState State, IReadOnlyList<StepDto> Steps, ProblemDto? Problem = null);

/// <summary>Decides whether what was observed has met what was wanted. Pure: the same report gives the same verdict.</summary>
internal static class OperationJudge
{
    /// <param name="operation">The operation.</param>
    /// <param name="wantsRunning">Of a creation: whether the VM shall also run.</param>
    /// <param name="wasUnderWay">Whether the VM had been seen starting or running for this operation before.</param>
    /// <param name="observed">The report.</param>
    public static Verdict Judge(OperationRow operation, bool wantsRunning, bool wasUnderWay, ObservedHost observed)
    {
        var untouched = new Verdict(observed.Generation >= operation.Generation ? OperationState.Running : OperationState.Waiting, operation.Steps);
        if (operation.Kind == OperationKind.SetVfs)
        {
            return observed.Pfs.TryGetValue(operation.Device ?? "", out var pf) && pf.Generation >= operation.Generation
                ? pf switch
                {
                    { Problem: { } problem } => new Verdict(OperationState.Failed, pf.Steps, problem),
                    { Converged: true } => new Verdict(OperationState.Done, pf.Steps),
                    _ => new Verdict(OperationState.Running, pf.Steps),
                }
                : untouched;
        }
        var vm = operation.VmId is { } id ? observed.Vms.GetValueOrDefault(id) : null;
        if (operation.Kind == OperationKind.DeleteVm)
            return observed.Generation < operation.Generation ? untouched : new Verdict(vm is null ? OperationState.Done : OperationState.Running, vm?.Steps ?? operation.Steps);
        if (vm is null || vm.Generation < operation.Generation)
            return untouched;
        if (vm.State == VmState.Failed)
            return new Verdict(OperationState.Failed, vm.Steps, vm.Problem ?? new ProblemDto("unexplained", "The host could not do it and did not say why.", null, "Read the agent's log on the host.", null));
        var running = operation.Kind is OperationKind.StartVm or OperationKind.SwitchInterrupts || (operation.Kind is OperationKind.CreateVm && wantsRunning);
        if (vm.State == (running ? VmState.Running : VmState.Stopped))
            return new Verdict(OperationState.Done, vm.Steps);
        if (running && vm.State == VmState.Stopped && wasUnderWay)
        {
            return new Verdict(OperationState.Failed, vm.Steps, vm.Problem ?? new ProblemDto(
                "vm-ended", "The VM ended as soon as it had started.", vm.EndReason is null ? null : $"How its run ended: {vm.EndReason}.", "Read its console, then start it again.", null));
        }
        return new Verdict(OperationState.Running, vm.Steps);
    }
}
