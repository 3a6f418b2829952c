namespace Exitless.ControlPlane.Api;

/// <summary>A host: a Linux machine whose agent has enrolled.</summary>
/// <param name="Id">The host's id; also the subject of its agent's certificate.</param>
/// <param name="Name">The host name that its agent reports.</param>
/// <param name="Connected">Whether the agent's link is up now.</param>
/// <param name="LastSeenAt">When the agent was last heard; null before its first link.</param>
/// <param name="EnrolledAt">When it exchanged its token for a certificate.</param>
/// <param name="RevokedAt">When its certificates were revoked; null: they are good.</param>
/// <param name="CertificateNotAfter">When the newest certificate of its agent ends.</param>
/// <param name="AgentVersion">The agent's version.</param>
/// <param name="Facts">What the agent found on the machine; null before the first inventory.</param>
/// <param name="Capabilities">The conditions of running VMs with assigned devices, each with its remedy when it is missing.</param>
/// <param name="VmCount">VMs that live on this host.</param>
/// <param name="VfCount">VFs that exist on this host.</param>
/// <param name="FreeVfCount">VFs that a new VM could own.</param>
public sealed record HostDto(
    Guid Id, string Name, bool Connected, DateTimeOffset? LastSeenAt, DateTimeOffset EnrolledAt, DateTimeOffset? RevokedAt,
    DateTimeOffset? CertificateNotAfter, string AgentVersion, HostFactsDto? Facts, IReadOnlyList<CapabilityDto> Capabilities,
    int VmCount, int VfCount, int FreeVfCount);

/// <summary>What the agent found on the machine.</summary>
/// <param name="Kernel">The running kernel's release, as <c>uname -r</c> prints it.</param>
/// <param name="CpuVendor"><c>GenuineIntel</c> or <c>AuthenticAMD</c>.</param>
/// <param name="CpuModel">The processor's model name.</param>
/// <param name="OnlineCpus">Numbers of the CPUs that are online.</param>
/// <param name="MemoryBytes">Memory of the whole machine, in bytes.</param>
/// <param name="NumaNodes">NUMA nodes.</param>
/// <param name="HugePages">Pools of huge pages, by node and page size.</param>
/// <param name="Images">Kernels and initrds that VMs on this host can boot.</param>
public sealed record HostFactsDto(
    string Kernel, string CpuVendor, string CpuModel, IReadOnlyList<int> OnlineCpus, long MemoryBytes,
    IReadOnlyList<NumaNodeDto> NumaNodes, IReadOnlyList<HugePagePoolDto> HugePages, IReadOnlyList<ImageDto> Images);

/// <summary>A NUMA node: its number, its CPUs, and its memory in bytes.</summary>
public sealed record NumaNodeDto(int Id, IReadOnlyList<int> Cpus, long MemoryBytes);

/// <summary>A pool of huge pages: node, page size in bytes, pages in all, pages free.</summary>
public sealed record HugePagePoolDto(int Node, long PageBytes, long Total, long Free);

/// <summary>A boot image on a host. Kind is <c>kernel</c> or <c>initrd</c>.</summary>
public sealed record ImageDto(string Name, string Kind, long Bytes);

/// <summary>One condition of running VMs with assigned devices: <c>kvm</c>, <c>iommu</c>, <c>interrupt-remapping</c>, <c>virtualization</c>, <c>memlock</c>.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Present">Whether it is met.</param>
/// <param name="Detail">What was found.</param>
/// <param name="Remedy">What to do when it is not met.</param>
public sealed record CapabilityDto(string Name, bool Present, string Detail, string? Remedy);

/// <summary>Which role a PCI function has in SR-IOV.</summary>
public enum DeviceKind
{
    /// <summary>Neither has an SR-IOV capability nor is a VF.</summary>
    Plain,
    /// <summary>A physical function with an SR-IOV capability.</summary>
    Pf,
    /// <summary>A virtual function.</summary>
    Vf,
}

/// <summary>A PCI function of a host, as its agent last reported it.</summary>
/// <param name="HostId">The host it sits in.</param>
/// <param name="HostName">That host's name.</param>
/// <param name="Address">PCI address, <c>dddd:bb:dd.f</c> in lower case.</param>
/// <param name="Kind">Its role in SR-IOV.</param>
/// <param name="Name">From pci.ids, where the host has it.</param>
/// <param name="VendorId">Vendor, four hexadecimal digits.</param>
/// <param name="DeviceId">Device, four hexadecimal digits.</param>
/// <param name="ClassCode">Class code, six hexadecimal digits.</param>
/// <param name="Driver">The driver that holds it; null: none.</param>
/// <param name="IommuGroup">Its IOMMU group; null: no IOMMU translates for it.</param>
/// <param name="NumaNode">The NUMA node it is attached to; null: unknown.</param>
/// <param name="PfAddress">Of a VF: its PF's address.</param>
/// <param name="VfIndex">Of a VF: its index, from 0.</param>
/// <param name="TotalVfs">Of a PF: the most VFs it can have (<c>sriov_totalvfs</c>).</param>
/// <param name="NumVfs">Of a PF: VFs that exist now (<c>sriov_numvfs</c>).</param>
/// <param name="WantedVfs">Of a PF: VFs that were asked for; null: it is left as it is.</param>
/// <param name="NetInterfaces">Names of its network interfaces on the host.</param>
/// <param name="Mac">Of a VF: what its PF says; of a NIC: its own; null: none.</param>
/// <param name="LinkUp">Whether the network link is up.</param>
/// <param name="InUse">Why it must not be assigned, in words; null: nothing on the host needs it.</param>
/// <param name="Owner">The VM that owns it; null: none.</param>
/// <param name="Assignable">Whether a new VM could own it now.</param>
/// <param name="Problem">Of a PF: why the VFs that were asked for do not exist.</param>
public sealed record DeviceDto(
    Guid HostId, string HostName, string Address, DeviceKind Kind, string Name, string VendorId, string DeviceId, string ClassCode,
    string? Driver, int? IommuGroup, int? NumaNode, string? PfAddress, int? VfIndex, int TotalVfs, int NumVfs, int? WantedVfs,
    IReadOnlyList<string> NetInterfaces, string? Mac, bool LinkUp, string? InUse, VmReferenceDto? Owner, bool Assignable, ProblemDto? Problem);

/// <summary>A VM that runs on a host and that Exitless did not start. It is watched, and nothing of it is changed.</summary>
/// <param name="ProcessId">Of its monitor on the host.</param>
/// <param name="Name">QEMU's <c>-name</c>, else the process's name.</param>
/// <param name="Command">The monitor's program, without its arguments: they may hold secrets.</param>
/// <param name="ExitsPerSecond">VM exits, summed over its vCPUs.</param>
/// <param name="InterruptsPerSecond">Interrupts of its assigned devices, as the host counts them.</param>
/// <param name="ExitsPerInterrupt">Exits of all causes for each device interrupt; null: no interrupt came.</param>
/// <param name="MarginalExitsPerInterrupt">Exits under load less exits at rest, for each device interrupt; null: not known.</param>
/// <param name="Vectors">Its devices' MSI-X vectors.</param>
/// <param name="ReportedAt">When its host told this; of the ten seconds before.</param>
public sealed record ObservedVmDto(
    int ProcessId, string Name, string Command, double ExitsPerSecond, double InterruptsPerSecond, double? ExitsPerInterrupt, double? MarginalExitsPerInterrupt,
    IReadOnlyList<ObservedVectorDto> Vectors, DateTimeOffset ReportedAt);

/// <summary>How the interrupts of one vector of an observed VM reached it.</summary>
/// <param name="Address">The device's PCI address.</param>
/// <param name="Vector">Its index in the device's table.</param>
/// <param name="InterruptsPerSecond">As the host counts them.</param>
/// <param name="Grade">idle, injected, woken, assisted, posted, direct or unknown; <c>docs/exit-less.md</c> says what they mean.</param>
public sealed record ObservedVectorDto(string Address, int Vector, double InterruptsPerSecond, string Grade);

/// <summary>A VM, by id and name.</summary>
public sealed record VmReferenceDto(Guid Id, string Name);

/// <summary>The VFs that a PF shall have.</summary>
/// <param name="Count">0 to the PF's <c>totalVfs</c>.</param>
public sealed record SetVfsRequest(int Count);

/// <summary>Hosts and their devices.</summary>
public interface IHostDirectory
{
    /// <summary>All hosts, by name.</summary>
    Task<IReadOnlyList<HostDto>> ListAsync(CancellationToken ct);

    /// <summary>One host; <see cref="ProblemException"/> <c>host-not-found</c>.</summary>
    Task<HostDto> GetAsync(Guid hostId, CancellationToken ct);

    /// <summary>Devices of one host, or of all with null, by host and address.</summary>
    Task<IReadOnlyList<DeviceDto>> ListDevicesAsync(Guid? hostId, CancellationToken ct);

    /// <summary>VMs that run on a host and that Exitless did not start, by process id; none while its link is lost. <see cref="ProblemException"/> <c>host-not-found</c>.</summary>
    Task<IReadOnlyList<ObservedVmDto>> ListObservedVmsAsync(Guid hostId, CancellationToken ct);

    /// <summary>Asks a host to give a PF this many VFs.</summary>
    Task<OperationDto> SetVfsAsync(Guid hostId, string address, SetVfsRequest request, Actor by, CancellationToken ct);

    /// <summary>Revokes every certificate of a host and closes its link. Its VMs run on, unseen.</summary>
    Task<HostDto> RevokeAsync(Guid hostId, Actor by, CancellationToken ct);
}
