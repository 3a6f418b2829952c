using System.Net.NetworkInformation;
using Exitless.Agent.Interrupts;
using Exitless.Contracts;
using Exitless.Linux.Sysfs;

namespace Exitless.Agent.Machines;

/// <summary>A VM that may be started: everything that its wanted state names was found and is free.</summary>
internal sealed record LaunchPlan(WantedVm Vm, string KernelPath, string? InitrdPath, IReadOnlyList<PlannedDevice> Devices)
{
    /// <summary>The VM's disks.</summary>
    public IReadOnlyList<PlannedDisk> Disks { get; init; } = [];

    /// <summary>How interrupts reach it; null: as its own configuration says.</summary>
    public InterruptPlan? Interrupts { get; init; }

    /// <summary>Host CPUs that its vCPUs have to themselves, by vCPU; none: they share.</summary>
    public IReadOnlyList<int> Cpus { get; init; } = [];

    /// <summary>The interfaces of its network links.</summary>
    public IReadOnlyList<PlannedTap> Taps { get; init; } = [];

    /// <summary>Its vsock; null: none.</summary>
    public PlannedVsock? Vsock { get; init; }
}

/// <param name="Path">The disk's own file.</param>
/// <param name="IsReadOnly">True: it is opened for reading only.</param>
/// <param name="Backing">Its backing files, the nearest first.</param>
internal sealed record PlannedDisk(string Path, bool IsReadOnly, IReadOnlyList<string> Backing);

/// <param name="Mac">Null: left as it is.</param>
internal sealed record PlannedDevice(PciFunction Function, int Group, PhysicalAddress? Mac, PhysicalAddress? CurrentMac, string Field);
