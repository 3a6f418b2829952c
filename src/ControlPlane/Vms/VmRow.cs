using Exitless.ControlPlane.Api;

namespace Exitless.ControlPlane.Vms;

/// <summary>A VM, as it is stored: what is wanted of it, and what was observed.</summary>
internal sealed class VmRow
{
    public required Guid Id { get; init; }

    public required Guid HostId { get; init; }

    public required string Name { get; init; }

    public required Guid ProjectId { get; init; }

    public required int Vcpus { get; init; }

    public required int MemoryMib { get; init; }

    public required string Kernel { get; init; }

    public required string? Initrd { get; init; }

    public required string CommandLine { get; init; }

    public required int StopSeconds { get; init; }

    public required InterruptPolicy Interrupts { get; init; }

    public required bool GuestCounts { get; init; }

    public IReadOnlyList<InterruptSwitch> Switches { get; set; } = [];

    public required DateTimeOffset CreatedAt { get; init; }

    public List<VmDeviceRow> Devices { get; init; } = [];

    public required DesiredRun Desired { get; set; }

    /// <summary>No longer wanted; the row goes when the host has let go of it.</summary>
    public bool Deleting { get; set; }

    /// <summary>The host's wanted generation at the last change or retry of this VM.</summary>
    public required long Generation { get; set; }

    public VmState State { get; set; }

    public long ObservedGeneration { get; set; }

    public DateTimeOffset? ObservedAt { get; set; }

    public ProblemDto? Problem { get; set; }

    public IReadOnlyList<StepDto> Steps { get; set; } = [];

    public int? ProcessId { get; set; }

    public DateTimeOffset? StartedAt { get; set; }

    public string? EndReason { get; set; }

    /// <summary>As the host reported it: without nodes of vCPUs and without crossings.</summary>
    public LocalityDto? Locality { get; set; }
}

/// <summary>A VF that a VM owns. The database lets a VF of a host have one owner.</summary>
internal sealed class VmDeviceRow
{
    public required Guid VmId { get; init; }

    public required Guid HostId { get; init; }

    public required string Address { get; init; }

    public required string? Mac { get; init; }

    /// <summary>The order in which the guest sees them.</summary>
    public required int Position { get; init; }
}
