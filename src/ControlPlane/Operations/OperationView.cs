using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Link;

namespace Exitless.ControlPlane.Operations;

/// <summary>An operation in words.</summary>
internal sealed class OperationView(LinkRegistry links)
{
    public static string Title(OperationRow o) => o.Kind switch
    {
        OperationKind.CreateVm => $"Create VM {o.VmName} on {o.HostName}",
        OperationKind.StartVm => $"Start VM {o.VmName} on {o.HostName}",
        OperationKind.StopVm => $"Stop VM {o.VmName} on {o.HostName}",
        OperationKind.ForceOffVm => $"Force VM {o.VmName} off on {o.HostName}",
        OperationKind.DeleteVm => $"Delete VM {o.VmName} on {o.HostName}",
        OperationKind.SwitchInterrupts => $"Switch the interrupts of {(o.Device is null ? "" : o.Device + " in ")}VM {o.VmName} on {o.HostName}",
        OperationKind.SetVfs => $"Give {o.Device} on {o.HostName} {o.Count} VFs",
    };

    public OperationDto ToDto(OperationRow o, long offeredGeneration, DateTimeOffset? hostLastSeen)
    {
        var waiting = o.FinishedAt is null && o.State == OperationState.Waiting;
        var waitingFor = !waiting ? null : links.IsConnected(o.HostId)
            ? $"{o.HostName} has not taken it up yet."
            : $"{o.HostName} is not connected{(hostLastSeen is { } seen ? $" (last seen {seen:u})" : "")}; it begins when the host's agent is back, and expires at {o.ExpiresAt:u}.";
        var told = o.Generation <= offeredGeneration;
        var canCancel = o.FinishedAt is null && (!told || o.Kind is OperationKind.StartVm or OperationKind.CreateVm);
        return new OperationDto(o.Id, o.Kind, o.State, Title(o), Progress(o, waitingFor), waitingFor, o.HostId, o.HostName, o.VmId, o.VmName, o.Device, o.Steps, o.Problem, o.RequestedBy, o.CreatedAt, o.FinishedAt, o.ExpiresAt, canCancel, o.ProjectId);
    }

    private static string Progress(OperationRow o, string? waitingFor)
    {
        var step = o.Steps.LastOrDefault(s => s.State == StepState.Running) ?? (o.Steps is [.., var last] ? last : null);
        return o.State switch
        {
            OperationState.Waiting => waitingFor ?? "Waiting.",
            OperationState.Running => step is null ? "The host works on it." : $"{step.Name}{(step.State == StepState.Done ? ": done" : "")}.",
            OperationState.Done => "Done.",
            OperationState.Failed => o.Problem?.Title ?? "Failed.",
            OperationState.Cancelled => o.Problem?.Title ?? "Cancelled.",
        };
    }
}
