namespace Exitless.ControlPlane.Api;

/// <summary>Where an interrupt of an assigned device goes.</summary>
/// <param name="Device">PCI address of the device.</param>
/// <param name="Vector">Its vector.</param>
/// <param name="Irq">The host's interrupt; null: the host does not say.</param>
/// <param name="HostCpus">The host's CPUs that take it, while it is not posted.</param>
/// <param name="Vcpu">The vCPU that the guest gave it to; null: several.</param>
/// <param name="Injected">Whether the switch has it injected.</param>
public sealed record VectorPlaceDto(string Device, int Vector, int? Irq, IReadOnlyList<int> HostCpus, int? Vcpu, bool Injected);

/// <summary>Where a vCPU may run.</summary>
/// <param name="Index">The vCPU, from 0.</param>
/// <param name="Cpus">The host's CPUs that its thread may run on.</param>
/// <param name="Nodes">Their NUMA nodes.</param>
public sealed record VcpuPlaceDto(int Index, IReadOnlyList<int> Cpus, IReadOnlyList<int> Nodes);

/// <summary>Where a device is.</summary>
/// <param name="Address">Its PCI address.</param>
/// <param name="Node">Its NUMA node; null: the firmware does not say.</param>
public sealed record DevicePlaceDto(string Address, int? Node);

/// <summary>Guest memory on a NUMA node.</summary>
/// <param name="Node">The node.</param>
/// <param name="Bytes">Bytes of the guest's memory there, as far as it has been touched, in steps of 16 MiB.</param>
public sealed record MemoryPlaceDto(int Node, long Bytes);

/// <summary>Something that goes a long way round, or costs exits, because of where it is.</summary>
/// <param name="Kind">device-memory, device-vcpu, host-cpu, own-cpu, vcpu-nodes.</param>
/// <param name="Device">The device concerned; null: none.</param>
/// <param name="Vector">The vector concerned; null: none.</param>
/// <param name="Vcpu">The vCPU concerned; null: none.</param>
/// <param name="Text">In one sentence.</param>
public sealed record CrossingDto(string Kind, string? Device, int? Vector, int? Vcpu, string Text);

/// <summary>Where a running VM's interrupts, vCPUs, devices and memory are.</summary>
/// <param name="Vectors">Its interrupts.</param>
/// <param name="Vcpus">Its vCPUs.</param>
/// <param name="Devices">Its devices.</param>
/// <param name="Memory">Its memory.</param>
/// <param name="Crossings">What costs, and why.</param>
public sealed record LocalityDto(
    IReadOnlyList<VectorPlaceDto> Vectors, IReadOnlyList<VcpuPlaceDto> Vcpus, IReadOnlyList<DevicePlaceDto> Devices, IReadOnlyList<MemoryPlaceDto> Memory,
    IReadOnlyList<CrossingDto> Crossings)
{
    /// <summary>Of a VM that does not run, or of which nothing has been heard yet.</summary>
    public static LocalityDto None { get; } = new([], [], [], [], []);
}
