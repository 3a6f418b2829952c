using Exitless.ControlPlane.Api;

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

    /// <summary>How many VFs were wanted before; null: nothing was.</summary>
    public int? PreviousCount { get; init; }

    /// <summary>How many VFs are wanted.</summary>
    public int? Count { get; init; }
}
