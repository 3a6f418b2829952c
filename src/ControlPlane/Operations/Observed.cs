using Exitless.ControlPlane.Api;

namespace Exitless.ControlPlane.Operations;

/// <summary>What a host reported: the wanted generation it has reached, its VMs and the PFs it was asked about.</summary>
internal sealed record ObservedHost(long Generation, IReadOnlyDictionary<Guid, ObservedVmFacts> Vms, IReadOnlyDictionary<string, ObservedPfFacts> Pfs);

/// <summary>A VM, as its host sees it. The generation is the one that state and problem answer.</summary>
internal sealed record ObservedVmFacts(
    long Generation, VmState State, ProblemDto? Problem, IReadOnlyList<StepDto> Steps, int? ProcessId, DateTimeOffset? StartedAt, string? EndReason)
{
    /// <summary>Where it is; null: not told.</summary>
    public LocalityDto? Locality { get; init; }
}

/// <summary>A PF whose VFs were asked for.</summary>
internal sealed record ObservedPfFacts(long Generation, bool Converged, ProblemDto? Problem, IReadOnlyList<StepDto> Steps);
