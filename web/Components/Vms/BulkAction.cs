using Exitless.ControlPlane.Api;

namespace Exitless.Web.Components.Vms;

/// <summary>Something that can be asked of many VMs at once.</summary>
/// <param name="Verb">What the button says.</param>
/// <param name="Done">What is said of each VM afterwards.</param>
/// <param name="WhyNot">Why a VM is left alone; null: it is not.</param>
/// <param name="AskAsync">Asks for it.</param>
/// <param name="IsHarsh">Whether guests lose what they have not saved.</param>
public sealed record BulkAction(string Verb, string Done, Func<VmDto, string?> WhyNot, Func<IVmService, Guid, Actor, Task<OperationDto>> AskAsync, bool IsHarsh = false)
{
    /// <summary>Starts those that do not run.</summary>
    public static readonly BulkAction Start = new("Start", "start asked for", vm => vm switch
    {
        { Deleting: true } => "is being deleted",
        { State: VmState.Running or VmState.Starting } => "runs already",
        { State: VmState.Stopping } => "is being stopped",
        _ => null,
    }, (service, vm, by) => service.StartAsync(vm, by, CancellationToken.None));

    /// <summary>Presses the power button of those that run.</summary>
    public static readonly BulkAction Stop = new("Stop", "stop asked for", vm => vm switch
    {
        { Deleting: true } => "is being deleted",
        { State: VmState.Running or VmState.Starting } => null,
        { State: VmState.Stopping } => "is being stopped already",
        _ => "does not run",
    }, (service, vm, by) => service.StopAsync(vm, by, CancellationToken.None));

    /// <summary>Removes those that do not run.</summary>
    public static readonly BulkAction Delete = new("Delete", "deletion asked for", vm => vm switch
    {
        { Deleting: true } => "is being deleted already",
        { State: VmState.Running or VmState.Starting or VmState.Stopping } => "runs: stop it first",
        _ => null,
    }, (service, vm, by) => service.DeleteAsync(vm, by, CancellationToken.None), IsHarsh: true);

    /// <summary>All of them.</summary>
    public static IReadOnlyList<BulkAction> All { get; } = [Start, Stop, Delete];
}
