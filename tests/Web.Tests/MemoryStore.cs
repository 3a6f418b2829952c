using Exitless.ControlPlane.Api;

namespace Exitless.Web.Tests;

/// <summary>The control plane's services over lists in memory. A refusal that is set is thrown by the next change.</summary>
public sealed class MemoryStore
{
    public static readonly DateTimeOffset Epoch = new(2026, 3, 4, 5, 6, 7, TimeSpan.Zero);

    public MemoryStore()
    {
        Feed = new FeedPart();
        Hosts = new HostPart(this);
        Vms = new VmPart(this);
        Operations = new OperationPart(this);
        Events = new EventPart();
        EnrolmentTokens = new EnrolmentPart(this);
        ApiTokens = new ApiTokenPart(this);
        Projects = new ProjectPart(this);
        Placement = new PlacementPart(this);
        Fleet = new FleetPart(this);
    }

    public FeedPart Feed { get; }
    public HostPart Hosts { get; }
    public VmPart Vms { get; }
    public OperationPart Operations { get; }
    public EventPart Events { get; }
    public EnrolmentPart EnrolmentTokens { get; }
    public ApiTokenPart ApiTokens { get; }
    public ProjectPart Projects { get; }
    public PlacementPart Placement { get; }
    public FleetPart Fleet { get; }

    /// <summary>Thrown by the next change.</summary>
    public ProblemException? Refusal { get; set; }

    /// <summary>What was asked for, in order, such as <c>start 0199…</c>, with the actor.</summary>
    public List<(string What, string By)> Asked { get; } = [];

    public HostDto AddHost(string name, bool connected = true, IReadOnlyList<CapabilityDto>? capabilities = null, int freeVfs = 0)
    {
        var facts = new HostFactsDto("6.12.57+deb13-amd64", "AuthenticAMD", "AMD EPYC 7763", [0, 1], 4L << 30, [new NumaNodeDto(0, [0, 1], 4L << 30)], [], [new ImageDto("debian.vmlinuz", "kernel", 11_000_000), new ImageDto("demo.initrd", "initrd", 4_000_000)]);
        var host = new HostDto(Guid.CreateVersion7(), name, connected, Epoch, Epoch, null, Epoch.AddDays(30), "0.1.0", facts, capabilities ?? [new CapabilityDto("kvm", true, "/dev/kvm opens", null)], 0, freeVfs, freeVfs);
        Hosts.All.Add(host);
        return host;
    }

    public DeviceDto AddPf(HostDto host, string address, int total, int vfs, string? inUse = null) =>
        Add(new DeviceDto(host.Id, host.Name, address, DeviceKind.Pf, "Intel 82576 Gigabit Network Connection", "8086", "10c9", "020000", "igb", 14, 0, null, null, total, vfs, null, ["eth1"], "52:54:00:12:34:56", true, inUse, null, false, null));

    public DeviceDto AddVf(HostDto host, string address, string pf, int index, VmReferenceDto? owner = null, string? inUse = null) =>
        Add(new DeviceDto(host.Id, host.Name, address, DeviceKind.Vf, "Intel 82576 Virtual Function", "8086", "10ca", "020000", null, 20 + index, 0, pf, index, 0, 0, null, [], $"02:00:00:00:00:0{index}", false, inUse, owner, owner is null && inUse is null, null));

    public VmDto AddVm(HostDto host, string name, VmState state, ProblemDto? problem = null)
    {
        var vm = new VmDto(Guid.CreateVersion7(), name, host.Id, host.Name, host.Connected, 1, 512, "debian.vmlinuz", "demo.initrd", "console=ttyS0", [new VmDeviceDto("0000:01:10.0", null)], 30, DesiredRun.Running, false, 1, state, 1, Epoch, problem, [], state is VmState.Running ? 812 : null, state is VmState.Running ? Epoch : null, null, Epoch, null, InterruptPolicy.Auto, [], false, ProjectDto.DefaultId);
        Vms.All.Add(vm);
        return vm;
    }

    public OperationDto AddOperation(HostDto host, VmDto? vm, OperationState state, string title, ProblemDto? problem = null, string by = "admin")
    {
        var operation = new OperationDto(Guid.CreateVersion7(), OperationKind.StartVm, state, title, "Starting", null, host.Id, host.Name, vm?.Id, vm?.Name, null,
            [new StepDto("bind 0000:01:10.0 to vfio-pci", StepState.Done, Epoch, Epoch.AddSeconds(0.2), null)], problem, by, Epoch, state is OperationState.Waiting or OperationState.Running ? null : Epoch.AddSeconds(2), Epoch.AddMinutes(2), false);
        Operations.All.Insert(0, operation);
        return operation;
    }

    private DeviceDto Add(DeviceDto device)
    {
        Hosts.Devices.Add(device);
        return device;
    }

    internal OperationDto Change(string what, Actor by, Guid? vm = null)
    {
        if (Refusal is { } refusal)
        {
            Refusal = null;
            throw refusal;
        }
        Asked.Add((what, by.Name));
        return new OperationDto(Guid.CreateVersion7(), OperationKind.StartVm, OperationState.Waiting, what, "", null, Guid.Empty, "h1", vm, null, null, [], null, by.Name, Epoch, null, Epoch.AddMinutes(2), false);
    }

    public sealed class FeedPart : IChangeFeed
    {
        private readonly List<Action<Change>> _subscribers = [];

        public int Subscribers => _subscribers.Count;

        public IDisposable Subscribe(Action<Change> onChange)
        {
            _subscribers.Add(onChange);
            return new Subscription(() => _subscribers.Remove(onChange));
        }

        public void Tell(ChangeKind kind, Guid id)
        {
            foreach (var subscriber in _subscribers.ToArray()) subscriber(new Change(kind, id));
        }

        private sealed class Subscription(Action end) : IDisposable
        {
            public void Dispose() => end();
        }
    }

    public sealed class HostPart(MemoryStore store) : IHostDirectory, IHostFindings
    {
        public List<FindingDto> Findings { get; } = [];
        public List<HostDto> All { get; } = [];
        public List<DeviceDto> Devices { get; } = [];
        public int Readings { get; private set; }

        public void CountReading() => Readings++;

        public Task<IReadOnlyList<HostDto>> ListAsync(CancellationToken ct)
        {
            Readings++;
            return Task.FromResult<IReadOnlyList<HostDto>>([.. All]);
        }

        public Task<HostDto> GetAsync(Guid hostId, CancellationToken ct) => Task.FromResult(All.Find(host => host.Id == hostId) ?? throw ProblemException.NotFound("Host", hostId));

        public List<ObservedVmDto> ObservedVms { get; } = [];

        public Task<IReadOnlyList<ObservedVmDto>> ListObservedVmsAsync(Guid hostId, CancellationToken ct) => Task.FromResult<IReadOnlyList<ObservedVmDto>>([.. ObservedVms]);

        public Task<IReadOnlyList<DeviceDto>> ListDevicesAsync(Guid? hostId, CancellationToken ct) => Task.FromResult<IReadOnlyList<DeviceDto>>([.. Devices.Where(device => hostId is null || device.HostId == hostId)]);

        Task<IReadOnlyList<FindingDto>> IHostFindings.ListAsync(Guid? hostId, FindingSeverity atLeast, CancellationToken ct) =>
            Task.FromResult<IReadOnlyList<FindingDto>>([.. Findings.Where(finding => (hostId is null || finding.HostId == hostId) && finding.Severity >= atLeast).OrderByDescending(finding => finding.Severity)]);

        public Task<OperationDto> SetVfsAsync(Guid hostId, string address, SetVfsRequest request, Actor by, CancellationToken ct)
        {
            ArgumentNullException.ThrowIfNull(request);
            return Task.FromResult(store.Change($"set {address} {request.Count}", by));
        }

        public Task<HostDto> RevokeAsync(Guid hostId, Actor by, CancellationToken ct) => GetAsync(hostId, ct);
    }

    public sealed class VmPart(MemoryStore store) : IVmService
    {
        public List<VmDto> All { get; } = [];
        public CreateVmRequest? Created { get; private set; }
        public Guid CreatedId { get; } = Guid.CreateVersion7();

        public Task<IReadOnlyList<VmDto>> ListAsync(VmFilter filter, CancellationToken ct) => Task.FromResult<IReadOnlyList<VmDto>>([.. All.Where(vm => filter.HostId is null || vm.HostId == filter.HostId)]);

        public Task<VmDto> GetAsync(Guid vmId, CancellationToken ct) => Task.FromResult(All.Find(vm => vm.Id == vmId) ?? throw ProblemException.NotFound("VM", vmId));

        public LocalityDto Locality { get; set; } = LocalityDto.None;

        public Task<LocalityDto> LocateAsync(Guid vmId, CancellationToken ct) => Task.FromResult(Locality);

        public Task<OperationDto> CreateAsync(CreateVmRequest request, Actor by, CancellationToken ct)
        {
            var operation = store.Change("create", by, CreatedId);
            Created = request;
            return Task.FromResult(operation);
        }

        public Task<OperationDto> StartAsync(Guid vmId, Actor by, CancellationToken ct) => Task.FromResult(store.Change($"start {vmId}", by, vmId));
        public Task<OperationDto> StopAsync(Guid vmId, Actor by, CancellationToken ct) => Task.FromResult(store.Change($"stop {vmId}", by, vmId));
        public Task<OperationDto> ForceOffAsync(Guid vmId, Actor by, CancellationToken ct) => Task.FromResult(store.Change($"force-off {vmId}", by, vmId));
        public Task<OperationDto> SwitchInterruptsAsync(Guid vmId, InterruptSwitch request, Actor by, CancellationToken ct) => Task.FromResult(store.Change($"switch {request?.Path} {vmId}", by, vmId));
        public Task<OperationDto> DeleteAsync(Guid vmId, Actor by, CancellationToken ct) => Task.FromResult(store.Change($"delete {vmId}", by, vmId));
    }

    public sealed class OperationPart(MemoryStore store) : IOperationLog
    {
        public List<OperationDto> All { get; } = [];

        public Task<IReadOnlyList<OperationDto>> ListAsync(OperationFilter filter, CancellationToken ct)
        {
            ArgumentNullException.ThrowIfNull(filter);
            return Task.FromResult<IReadOnlyList<OperationDto>>([.. All
                .Where(operation => filter.Active is not { } active || active != operation.Finished)
                .Where(operation => filter.VmId is not { } vm || operation.VmId == vm)
                .Take(filter.Limit)]);
        }

        public Task<OperationDto> GetAsync(Guid operationId, CancellationToken ct) => Task.FromResult(All.Find(operation => operation.Id == operationId) ?? throw ProblemException.NotFound("Operation", operationId));
        public Task<OperationDto> WaitAsync(Guid operationId, TimeSpan limit, CancellationToken ct) => GetAsync(operationId, ct);
        public Task<OperationDto> CancelAsync(Guid operationId, Actor by, CancellationToken ct) => Task.FromResult(store.Change($"cancel {operationId}", by));
    }

    public sealed class EventPart : IEventLog
    {
        public List<EventDto> All { get; } = [];

        public Task<IReadOnlyList<EventDto>> ListAsync(EventFilter filter, CancellationToken ct)
        {
            ArgumentNullException.ThrowIfNull(filter);
            return Task.FromResult<IReadOnlyList<EventDto>>([.. All.Take(filter.Limit)]);
        }
    }

    public sealed class EnrolmentPart(MemoryStore store) : IEnrolmentTokens
    {
        public Task<CreatedEnrolmentTokenDto> CreateAsync(CreateEnrolmentTokenRequest request, Actor by, CancellationToken ct)
        {
            store.Change("enrolment-token", by);
            return Task.FromResult(new CreatedEnrolmentTokenDto(Guid.CreateVersion7(), "one-time-token", "sha256:00ff", 7444, Epoch.AddHours(1)));
        }

        public Task<IReadOnlyList<EnrolmentTokenDto>> ListAsync(CancellationToken ct) => Task.FromResult<IReadOnlyList<EnrolmentTokenDto>>([]);
        public Task RevokeAsync(Guid tokenId, Actor by, CancellationToken ct) => Task.FromResult(store.Change($"revoke {tokenId}", by));
    }

    public sealed class ApiTokenPart(MemoryStore store) : IApiTokens
    {
        public List<ApiTokenDto> All { get; } = [];

        public Task<CreatedApiTokenDto> CreateAsync(CreateApiTokenRequest request, Actor by, CancellationToken ct)
        {
            ArgumentNullException.ThrowIfNull(request);
            store.Change($"api-token {request.Name} {request.Days}", by);
            return Task.FromResult(new CreatedApiTokenDto(Guid.CreateVersion7(), request.Name, "the-secret", null));
        }

        public Task<IReadOnlyList<ApiTokenDto>> ListAsync(CancellationToken ct) => Task.FromResult<IReadOnlyList<ApiTokenDto>>([.. All]);
        public Task RevokeAsync(Guid tokenId, Actor by, CancellationToken ct) => Task.FromResult(store.Change($"revoke {tokenId}", by));
    }
}
