using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Database;
using Exitless.ControlPlane.Hosts;
using Exitless.ControlPlane.Vms;

namespace Exitless.ControlPlane.Operations;

/// <summary>An operation, as it is stored. Names are copied, so that it can be read after what it was about is gone.</summary>
internal sealed class OperationRow
{
    public required Guid Id { get; init; }

    public required OperationKind Kind { get; init; }

    public required OperationState State { get; set; }

    public required Guid HostId { get; init; }

    public required string HostName { get; init; }

    public Guid? VmId { get; init; }

    public string? VmName { get; init; }

    public string? Device { get; init; }

    public Guid? ProjectId { get; set; }

    /// <summary>The host's wanted generation that asks for this change; also the VM's or the PF's own.</summary>
    public required long Generation { get; init; }

    public required string RequestedBy { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    public required DateTimeOffset ExpiresAt { get; init; }

    public DateTimeOffset? FinishedAt { get; set; }

    public ProblemDto? Problem { get; set; }

    public IReadOnlyList<StepDto> Steps { get; set; } = [];

    /// <summary>What was wanted of the VM before; how to take the operation back.</summary>
    public DesiredRun? PreviousRun { get; init; }

    /// <summary>Where the switch of interrupts stood before.</summary>
    public IReadOnlyList<InterruptSwitch>? PreviousSwitches { get; init; }

    /// <summary>How many VFs were wanted before; null: nothing was.</summary>
    public int? PreviousCount { get; init; }

    /// <summary>How many VFs are wanted.</summary>
    public int? Count { get; init; }

    /// <summary>A new one, which waits for the host.</summary>
    /// <param name="changes">The transaction that it belongs to.</param>
    /// <param name="host">Who is to do it.</param>
    /// <param name="vm">What it is about; null: a device.</param>
    /// <param name="kind">What is to be done.</param>
    /// <param name="generation">The host's wanted generation that asks for it.</param>
    /// <param name="by">Who asked.</param>
    /// <param name="limit">How long it may take.</param>
    /// <param name="previous">What was wanted of the VM before.</param>
    /// <param name="device">The PF, for VFs; the device whose switch is thrown.</param>
    /// <param name="previousCount">How many VFs were wanted before.</param>
    /// <param name="count">How many VFs are wanted.</param>
    /// <param name="previousSwitches">Where the switch of interrupts stood before.</param>
    public static OperationRow Waiting(
        Changes changes, HostRow host, VmRow? vm, OperationKind kind, long generation, Actor by, TimeSpan limit,
        DesiredRun? previous = null, string? device = null, int? previousCount = null, int? count = null, IReadOnlyList<InterruptSwitch>? previousSwitches = null) => new()
        {
            Id = changes.NewId(),
            Kind = kind,
            State = OperationState.Waiting,
            HostId = host.Id,
            HostName = host.Name,
            VmId = vm?.Id,
            VmName = vm?.Name,
            Device = device,
            Generation = generation,
            RequestedBy = by.Name,
            CreatedAt = changes.Now,
            ExpiresAt = changes.Now + limit,
            PreviousRun = previous,
            PreviousCount = previousCount,
            Count = count,
            PreviousSwitches = previousSwitches,
        };
}
