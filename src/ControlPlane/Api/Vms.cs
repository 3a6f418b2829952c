namespace Exitless.ControlPlane.Api;

/// <summary>What a person wants a VM to do.</summary>
public enum DesiredRun
{
    /// <summary>Stopped: the power button is pressed, and after the VM's stop time it is ended.</summary>
    Stopped,
    /// <summary>Running.</summary>
    Running,
    /// <summary>Off at once.</summary>
    Off,
}

/// <summary>What a VM does, as its host last reported it.</summary>
public enum VmState
{
    /// <summary>The host has not said anything about it yet.</summary>
    Unknown,
    /// <summary>No process of it exists.</summary>
    Stopped,
    /// <summary>Its devices and its process are being made ready.</summary>
    Starting,
    /// <summary>Its vCPUs run.</summary>
    Running,
    /// <summary>It was told to stop.</summary>
    Stopping,
    /// <summary>What was wanted could not be done; the problem says why. It stays so until something else is wanted.</summary>
    Failed,
}

/// <summary>How interrupts of assigned devices shall reach a VM. A host that cannot meet it refuses to start the VM, and says why.</summary>
public enum InterruptPolicy
{
    /// <summary>The best path that the host has.</summary>
    Auto,
    /// <summary>Posted by the IOMMU into the running vCPU, without an exit and without a host CPU.</summary>
    Posted,
    /// <summary>Directly, through a shadow of the guest's IDT (exitless interrupts, ELI).</summary>
    Eli,
    /// <summary>Injected by the host, even where it could post.</summary>
    Injected,
}

/// <summary>A path of interrupts that the switch can be thrown to.</summary>
public enum InterruptPath
{
    /// <summary>The best that the host has.</summary>
    Best,
    /// <summary>Injected by the host: the vCPU exits for it.</summary>
    Injected,
    /// <summary>Not posted, but taken by another CPU of the host than the vCPU's and passed on without an exit. Refused where the host does not virtualize the APIC.</summary>
    Assisted,
}

/// <summary>Where the switch of a VM's interrupts stands, of a device's, or of a vector's. A later one overrides those before it.</summary>
/// <param name="Path">The path.</param>
/// <param name="Device">PCI address of one of the VM's devices; null: all.</param>
/// <param name="Vector">A vector that the device uses; null: all of them.</param>
public sealed record InterruptSwitch(InterruptPath Path, string? Device = null, int? Vector = null);

/// <summary>A VM to create. Nothing of it exists unless all of it is valid.</summary>
/// <param name="Name">1 to 63 characters: letters, digits, dots and hyphens, beginning and ending with a letter or digit; unique.</param>
/// <param name="HostId">The host it shall run on.</param>
/// <param name="Kernel">The name of a kernel image on that host.</param>
/// <param name="Initrd">The name of an initrd on that host; null: none.</param>
/// <param name="CommandLine">The kernel's command line, printable ASCII, at most 2047 characters.</param>
/// <param name="Vcpus">vCPUs.</param>
/// <param name="MemoryMib">Memory in MiB.</param>
/// <param name="Devices">The VFs it shall own, in the order the guest sees them.</param>
/// <param name="Start">Whether it shall run as soon as it exists.</param>
/// <param name="StopSeconds">How long a stop waits for the guest before it is ended.</param>
/// <param name="Interrupts">How interrupts of its devices shall reach it.</param>
/// <param name="GuestCounts">Whether the interrupt counts of the reporter in the guest are taken. It gets a vsock for them.</param>
/// <param name="ProjectId">The project that it shall be in; null: the default one.</param>
public sealed record CreateVmRequest(
    string Name, Guid HostId, string Kernel, string? Initrd = null, string? CommandLine = null, int Vcpus = 1, int MemoryMib = 512,
    IReadOnlyList<VmDeviceRequest>? Devices = null, bool Start = false, int StopSeconds = 30, InterruptPolicy Interrupts = InterruptPolicy.Auto, bool GuestCounts = false, Guid? ProjectId = null);

/// <summary>A VF that a VM shall own.</summary>
/// <param name="Address">PCI address of the VF, <c>dddd:bb:dd.f</c>.</param>
/// <param name="Mac">MAC address to give it through its PF; null: as it is.</param>
public sealed record VmDeviceRequest(string Address, string? Mac = null);

/// <summary>A VM: what is wanted of it, and what its host reports.</summary>
/// <param name="Id">The VM's id.</param>
/// <param name="Name">Its name.</param>
/// <param name="HostId">The host it lives on.</param>
/// <param name="HostName">That host's name.</param>
/// <param name="HostConnected">Whether that host's link is up; if not, <paramref name="State"/> is what was last heard.</param>
/// <param name="Vcpus">vCPUs.</param>
/// <param name="MemoryMib">Memory in MiB.</param>
/// <param name="Kernel">Kernel image.</param>
/// <param name="Initrd">Initrd; null: none.</param>
/// <param name="CommandLine">The kernel's command line.</param>
/// <param name="Devices">The VFs it owns.</param>
/// <param name="StopSeconds">How long a stop waits for the guest before it is ended.</param>
/// <param name="Desired">What is wanted.</param>
/// <param name="Deleting">Whether it is being deleted.</param>
/// <param name="Generation">Rises with every change or retry.</param>
/// <param name="State">What it does.</param>
/// <param name="ObservedGeneration">The generation that <paramref name="State"/> answers.</param>
/// <param name="ObservedAt">When the host last reported a change of it.</param>
/// <param name="Problem">Why what is wanted could not be done; of a VM that runs: what is wrong with it (<c>guest-hung</c>).</param>
/// <param name="Steps">Steps of the change that is under way or was last.</param>
/// <param name="ProcessId">Of its process on the host; null: not running.</param>
/// <param name="StartedAt">When its run began; null: not running.</param>
/// <param name="EndReason">How the last run ended: power-off, reset, triple-fault, guest-panic, killed, error.</param>
/// <param name="CreatedAt">When it was created.</param>
/// <param name="ActiveOperationId">The operation that is changing it now.</param>
/// <param name="Interrupts">How interrupts of its devices shall reach it.</param>
/// <param name="Switches">Where the switch of its interrupts stands in this run; none: on the path of the policy.</param>
/// <param name="GuestCounts">Whether the interrupt counts of the reporter in the guest are taken.</param>
/// <param name="ProjectId">The project that it is in.</param>
public sealed record VmDto(
    Guid Id, string Name, Guid HostId, string HostName, bool HostConnected, int Vcpus, int MemoryMib, string Kernel, string? Initrd,
    string CommandLine, IReadOnlyList<VmDeviceDto> Devices, int StopSeconds, DesiredRun Desired, bool Deleting, long Generation,
    VmState State, long ObservedGeneration, DateTimeOffset? ObservedAt, ProblemDto? Problem, IReadOnlyList<StepDto> Steps,
    int? ProcessId, DateTimeOffset? StartedAt, string? EndReason, DateTimeOffset CreatedAt, Guid? ActiveOperationId,
    InterruptPolicy Interrupts, IReadOnlyList<InterruptSwitch> Switches, bool GuestCounts, Guid ProjectId);

/// <summary>A VF that a VM owns, and the MAC address it is given; null: as it is.</summary>
public sealed record VmDeviceDto(string Address, string? Mac);

/// <summary>Which VMs to list. Of a list of values one must be met; an empty one is met by all.</summary>
/// <param name="HostId">Of this host only; null: of all.</param>
/// <param name="Seen">In these projects only; null: in all.</param>
/// <param name="From">Only names from this one on, in ordinal order; null: all.</param>
/// <param name="Most">At most so many; null: all.</param>
public sealed record VmFilter(Guid? HostId = null, IReadOnlyCollection<Guid>? Seen = null, string? From = null, int? Most = null)
{
    /// <summary>Names.</summary>
    public IReadOnlyList<string> Names { get; init; } = [];

    /// <summary>States.</summary>
    public IReadOnlyList<VmState> States { get; init; } = [];

    /// <summary>What is wanted.</summary>
    public IReadOnlyList<DesiredRun> Desired { get; init; } = [];

    /// <summary>Whether the host's link is up.</summary>
    public IReadOnlyList<bool> HostConnected { get; init; } = [];

    /// <summary>Projects that were asked for.</summary>
    public IReadOnlyList<Guid> Projects { get; init; } = [];
}

/// <summary>VMs. Every change answers with the operation that brings it about.</summary>
public interface IVmService
{
    /// <summary>VMs by name; <see cref="ProblemException"/> <c>host-not-found</c>.</summary>
    Task<IReadOnlyList<VmDto>> ListAsync(VmFilter filter, CancellationToken ct);

    /// <summary>One VM; <see cref="ProblemException"/> <c>vm-not-found</c>.</summary>
    Task<VmDto> GetAsync(Guid vmId, CancellationToken ct);

    /// <summary>Where a running VM's interrupts, vCPUs, devices and memory are, and what of it costs.</summary>
    Task<LocalityDto> LocateAsync(Guid vmId, CancellationToken ct);

    /// <summary>Creates a VM. Every field is checked before anything is written.</summary>
    Task<OperationDto> CreateAsync(CreateVmRequest request, Actor by, CancellationToken ct);

    /// <summary>Wants it running. For a VM that failed this is also the retry; one that runs already is left as it is.</summary>
    Task<OperationDto> StartAsync(Guid vmId, Actor by, CancellationToken ct);

    /// <summary>Presses the power button, and ends it when its stop time is over.</summary>
    Task<OperationDto> StopAsync(Guid vmId, Actor by, CancellationToken ct);

    /// <summary>Ends it at once.</summary>
    Task<OperationDto> ForceOffAsync(Guid vmId, Actor by, CancellationToken ct);

    /// <summary>Throws the switch of a running VM's interrupts, without the guest's noticing. It holds until the VM ends or the switch is thrown again.</summary>
    Task<OperationDto> SwitchInterruptsAsync(Guid vmId, InterruptSwitch request, Actor by, CancellationToken ct);

    /// <summary>Removes a stopped VM and frees its VFs. A running one is refused.</summary>
    Task<OperationDto> DeleteAsync(Guid vmId, Actor by, CancellationToken ct);
}
