using Exitless.ControlPlane.Access;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Configuration;
using Exitless.ControlPlane.Database;
using Exitless.ControlPlane.Hosts;
using Exitless.ControlPlane.Link;
using Exitless.ControlPlane.Operations;
using Exitless.ControlPlane.Projects;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;
using Npgsql;

namespace Exitless.ControlPlane.Vms;

/// <inheritdoc />
internal sealed class VmService(
    IDbContextFactory<ControlPlaneContext> contexts, ChangeRunner runner, LinkRegistry links, IOperationLog operations, IOptions<ControlPlaneOptions> options) : IVmService
{
    public async Task<IReadOnlyList<VmDto>> ListAsync(VmFilter filter, CancellationToken ct)
    {
        await using var db = await contexts.CreateDbContextAsync(ct);
        if (filter.HostId is { } id && !await db.Hosts.AnyAsync(h => h.Id == id, ct))
            throw ProblemException.NotFound("Host", id);
        var vms = VmFilters.Apply(db.Vms, filter, links);
        return await ReadAsync(db, filter.Most is { } most ? vms.OrderBy(v => v.Name).Take(most) : vms, ct);
    }

    /// <summary>These VMs, by name.</summary>
    internal async Task<IReadOnlyList<VmDto>> ReadAsync(IReadOnlyList<Guid> vmIds, CancellationToken ct)
    {
        await using var db = await contexts.CreateDbContextAsync(ct);
        return await ReadAsync(db, db.Vms.Where(v => vmIds.Contains(v.Id)), ct);
    }

    public async Task<VmDto> GetAsync(Guid vmId, CancellationToken ct)
    {
        await using var db = await contexts.CreateDbContextAsync(ct);
        return await GetAsync(db, vmId, ct);
    }

    internal async Task<VmDto> GetAsync(ControlPlaneContext db, Guid vmId, CancellationToken ct) =>
        (await ReadAsync(db, db.Vms.Where(v => v.Id == vmId), ct)).SingleOrDefault() ?? throw ProblemException.NotFound("VM", vmId);

    public async Task<LocalityDto> LocateAsync(Guid vmId, CancellationToken ct)
    {
        await using var db = await contexts.CreateDbContextAsync(ct);
        var vm = await db.Vms.AsNoTracking().SingleOrDefaultAsync(v => v.Id == vmId, ct) ?? throw ProblemException.NotFound("VM", vmId);
        if (vm.State != VmState.Running || vm.Locality is not { } reported)
            return LocalityDto.None;
        var host = await db.Hosts.AsNoTracking().SingleOrDefaultAsync(h => h.Id == vm.HostId, ct);
        return Crossings.Find(reported, host?.Facts?.NumaNodes ?? []);
    }

    public async Task<OperationDto> CreateAsync(CreateVmRequest request, Actor by, CancellationToken ct)
    {
        const string Code = "vm-invalid";
        const string Title = "The VM cannot be created.";
        var mistakes = new Mistakes();
        VmRules.CheckAlone(request, mistakes);
        // Without them nothing more can be said.
        if (request.Devices?.Any(d => d is null) == true)
            mistakes.Throw(Code, Title);
        var id = await Guarded(() => runner.RunAsync(async (db, changes) =>
        {
            var projectId = request.ProjectId ?? ProjectDto.DefaultId;
            await Rights.DemandAsync(db, changes, by, Role.Operator, projectId, ct);
            var host = await db.LockHostAsync(request.HostId, ct);
            if (await Quota.LockAsync(db, projectId, ct) is { } project)
                await Quota.CheckAsync(db, project, request, mistakes, ct);
            else
                mistakes.Add(ProblemKind.Invalid, "project-not-found", "projectId", $"There is no project '{projectId}'.", "Take an id from /api/v1/projects.");
            if (host is null)
                mistakes.Add(ProblemKind.Invalid, "host-not-found", "hostId", $"There is no host '{request.HostId}'.", "Take an id from /api/v1/hosts.");
            if (host is null || await db.Vms.AnyAsync(v => v.Name == request.Name, ct))
            {
                if (host is not null)
                    mistakes.Add(ProblemKind.Conflict, "vm-name-taken", "name", $"There is a VM named '{request.Name}'.", "Choose another name.");
            }
            if (host is null)
            {
                mistakes.Throw(Code, Title);
                throw new InvalidOperationException("A mistake was found and not thrown.");
            }
            var view = await ViewAsync(db, host, ct);
            VmRules.CheckOnHost(request, view, mistakes);
            if (request.Start)
                VmRules.CheckStart(request.Name, null, request.MemoryMib, request.Devices is { Count: > 0 }, view, mistakes);
            mistakes.Throw(Code, Title);
            var generation = changes.Want(host);
            var vm = new VmRow
            {
                Id = changes.NewId(),
                HostId = host.Id,
                Name = request.Name,
                ProjectId = projectId,
                Vcpus = request.Vcpus,
                MemoryMib = request.MemoryMib,
                Kernel = request.Kernel,
                Initrd = string.IsNullOrEmpty(request.Initrd) ? null : request.Initrd,
                CommandLine = request.CommandLine ?? "",
                StopSeconds = request.StopSeconds,
                Interrupts = request.Interrupts,
                GuestCounts = request.GuestCounts,
                CreatedAt = changes.Now,
                Desired = request.Start ? DesiredRun.Running : DesiredRun.Stopped,
                Generation = generation,
            };
            vm.Devices.AddRange((request.Devices ?? []).Select((d, i) => new VmDeviceRow { VmId = vm.Id, HostId = host.Id, Address = d.Address, Mac = d.Mac?.ToLowerInvariant(), Position = i }));
            db.Vms.Add(vm);
            changes.Tell(db, "vm-created", EventSeverity.Info, $"{by.Name} created VM {vm.Name}.", (host.Id, host.Name), (vm.Id, vm.Name), by: by);
            changes.Announce(ChangeKind.Host, host.Id);
            return Begin(db, changes, host, vm, OperationKind.CreateVm, null, by);
        }, ct));
        return await operations.GetAsync(id, ct);
    }

    public Task<OperationDto> StartAsync(Guid vmId, Actor by, CancellationToken ct) => ChangeAsync(vmId, OperationKind.StartVm, DesiredRun.Running, by, (vm, view) =>
    {
        var mistakes = new Mistakes();
        VmRules.CheckStart(vm.Name, vm.Id, vm.MemoryMib, vm.Devices.Count > 0, view, mistakes);
        mistakes.Throw("vm-cannot-start", "The VM cannot be started.");
    }, ct);

    public Task<OperationDto> StopAsync(Guid vmId, Actor by, CancellationToken ct) => ChangeAsync(vmId, OperationKind.StopVm, DesiredRun.Stopped, by, (vm, _) => MustRun(vm), ct);

    public Task<OperationDto> ForceOffAsync(Guid vmId, Actor by, CancellationToken ct) => ChangeAsync(vmId, OperationKind.ForceOffVm, DesiredRun.Off, by, (vm, _) => MustRun(vm), ct);

    public async Task<OperationDto> SwitchInterruptsAsync(Guid vmId, InterruptSwitch request, Actor by, CancellationToken ct)
    {
        var id = await runner.RunAsync(async (db, changes) =>
        {
            var (host, view, vm) = await LockAsync(db, changes, vmId, OperationKind.SwitchInterrupts, by, ct);
            InterruptRules.Check(request, vm, host.Report?.Findings ?? []);
            if (await db.Operations.SingleOrDefaultAsync(o => o.VmId == vmId && o.FinishedAt == null, ct) is { } active)
                throw Refuse("operation-active", $"'{OperationView.Title(active)}' (operation {active.Id:D}) is not over.", "Wait until it ends, or cancel it.");
            var before = vm.Switches;
            vm.Switches = InterruptRules.With(before, request);
            vm.Generation = changes.Want(host);
            return Begin(db, changes, host, vm, OperationKind.SwitchInterrupts, vm.Desired, by, request.Device, before);
        }, ct);
        return await operations.GetAsync(id, ct);
    }

    public Task<OperationDto> DeleteAsync(Guid vmId, Actor by, CancellationToken ct) => ChangeAsync(vmId, OperationKind.DeleteVm, DesiredRun.Off, by, (vm, view) =>
    {
        if (view.Host.RevokedAt is null && vm.State is VmState.Running or VmState.Starting or VmState.Stopping)
            throw Refuse("vm-running", $"VM {vm.Name} is {vm.State.ToString().ToLowerInvariant()}.", "Stop it or force it off first.");
        if (vm.Desired == DesiredRun.Running && vm.State is VmState.Unknown && view.Host.RevokedAt is null && vm.Generation <= view.Host.OfferedGeneration)
            throw Refuse("vm-running", $"VM {vm.Name} is wanted running, and its host has not said yet whether it does.", "Force it off first.");
    }, ct);

    /// <summary>One change of an existing VM: checked, written, and handed to its host.</summary>
    private async Task<OperationDto> ChangeAsync(Guid vmId, OperationKind kind, DesiredRun desired, Actor by, Action<VmRow, HostView> check, CancellationToken ct)
    {
        var id = await runner.RunAsync(async (db, changes) =>
        {
            var (host, view, vm) = await LockAsync(db, changes, vmId, kind, by, ct);
            check(vm, view);
            var active = await db.Operations.SingleOrDefaultAsync(o => o.VmId == vmId && o.FinishedAt == null, ct);
            // To start what is being started is to wait for the same thing.
            if (active is not null && kind == OperationKind.StartVm && vm.Desired == DesiredRun.Running)
                return active.Id;
            if (active is not null)
                await SupersedeAsync(db, changes, host, active, kind, by, ct);
            var previous = vm.Desired;
            // What a host that is away reported last is no answer: it may have lost power since.
            var met = kind == OperationKind.StartVm && vm is { Desired: DesiredRun.Running, State: VmState.Running } && links.IsConnected(host.Id);
            vm.Desired = desired;
            // Each run begins on the path of its policy.
            if (kind == OperationKind.StartVm && !met)
                vm.Switches = [];
            vm.Deleting = kind == OperationKind.DeleteVm;
            vm.Generation = met ? vm.Generation : changes.Want(host);
            var operation = Begin(db, changes, host, vm, kind, previous, by);
            // It runs already; or it shall go, and its host is gone for good or has never heard of it.
            if (met || (kind == OperationKind.DeleteVm && (host.RevokedAt is not null || await NeverToldAsync(db, vm, host, ct))))
                await OperationEnding.EndAsync(db, changes, host, db.Operations.Local.Single(o => o.Id == operation), OperationState.Done, null, ct, by);
            return operation;
        }, ct);
        return await operations.GetAsync(id, ct);
    }

    /// <summary>A VM that may be changed, with its host, which is locked until the transaction ends.</summary>
    private static async Task<(HostRow Host, HostView View, VmRow Vm)> LockAsync(ControlPlaneContext db, Changes changes, Guid vmId, OperationKind kind, Actor by, CancellationToken ct)
    {
        var hostId = await db.Vms.Where(v => v.Id == vmId).Select(v => (Guid?)v.HostId).SingleOrDefaultAsync(ct) ?? throw ProblemException.NotFound("VM", vmId);
        var host = await db.LockHostAsync(hostId, ct) ?? throw ProblemException.NotFound("Host", hostId);
        var view = await ViewAsync(db, host, ct);
        var vm = view.Vms.FirstOrDefault(v => v.Id == vmId) ?? throw ProblemException.NotFound("VM", vmId);
        await Rights.DemandAsync(db, changes, by, Role.Operator, vm.ProjectId, ct);
        if (vm.Deleting)
            throw Refuse("vm-deleting", $"VM {vm.Name} is being deleted.", null);
        // Of a host that will not come back, VMs can be deleted here.
        if (HostRules.Refusal(host) is { } refusal && (kind != OperationKind.DeleteVm || host.RevokedAt is null))
            throw Refuse(refusal.Code, refusal.Detail, refusal.Remedy);
        return (host, view, vm);
    }

    private static async Task<bool> NeverToldAsync(ControlPlaneContext db, VmRow vm, HostRow host, CancellationToken ct)
    {
        var created = await db.Operations.Where(o => o.VmId == vm.Id && o.Kind == OperationKind.CreateVm).Select(o => (long?)o.Generation).SingleOrDefaultAsync(ct);
        return created > host.OfferedGeneration;
    }

    /// <summary>Off may follow anything that is under way, a stop may follow a start; all else waits its turn.</summary>
    private static async Task SupersedeAsync(ControlPlaneContext db, Changes changes, HostRow host, OperationRow active, OperationKind kind, Actor by, CancellationToken ct)
    {
        var may = kind switch
        {
            OperationKind.ForceOffVm => active.Kind is OperationKind.StartVm or OperationKind.StopVm or OperationKind.CreateVm,
            OperationKind.StopVm => active.Kind is OperationKind.StartVm or OperationKind.CreateVm,
            _ => false,
        };
        if (!may)
            throw Refuse("operation-active", $"'{OperationView.Title(active)}' (operation {active.Id:D}) is not over.", "Wait until it ends, cancel it, or force the VM off.");
        await OperationEnding.EndAsync(db, changes, host, active, OperationState.Cancelled, new ProblemDto("superseded", $"{by.Name} asked for something else.", null, null, null), ct, by);
    }

    private Guid Begin(ControlPlaneContext db, Changes changes, HostRow host, VmRow vm, OperationKind kind, DesiredRun? previous, Actor by, string? device = null, IReadOnlyList<InterruptSwitch>? switches = null)
    {
        var operation = OperationRow.Waiting(changes, host, vm, kind, vm.Generation, by, options.Value.OperationLimit, previous, device, previousSwitches: switches);
        db.Operations.Add(operation);
        changes.Announce(ChangeKind.Vm, vm.Id);
        changes.Announce(ChangeKind.Operation, operation.Id);
        return operation.Id;
    }

    private static async Task<HostView> ViewAsync(ControlPlaneContext db, HostRow host, CancellationToken ct)
    {
        var devices = await db.Devices.AsNoTracking().Where(d => d.HostId == host.Id).ToListAsync(ct);
        var vms = await db.Vms.Include(v => v.Devices).Where(v => v.HostId == host.Id).ToListAsync(ct);
        var changing = await db.Operations.Where(o => o.HostId == host.Id && o.Kind == OperationKind.SetVfs && o.FinishedAt == null).Select(o => o.Device!).ToListAsync(ct);
        return new HostView(host, devices, await HostDirectory.OwnersAsync(db, host.Id, ct), vms, changing.ToHashSet(StringComparer.Ordinal));
    }

    private async Task<List<VmDto>> ReadAsync(ControlPlaneContext db, IQueryable<VmRow> vms, CancellationToken ct)
    {
        var rows = await vms.AsNoTracking().Include(v => v.Devices.OrderBy(d => d.Position)).OrderBy(v => v.Name).ToListAsync(ct);
        var hostIds = rows.Select(r => r.HostId).Distinct().ToList();
        var hosts = await db.Hosts.AsNoTracking().Where(h => hostIds.Contains(h.Id)).ToDictionaryAsync(h => h.Id, h => h.Name, ct);
        var active = (await db.Operations.Where(o => o.FinishedAt == null && o.VmId != null && hostIds.Contains(o.HostId)).Select(o => new { o.VmId, o.Id }).ToListAsync(ct)).ToLookup(o => o.VmId, o => o.Id);
        return [.. rows.Select(v => new VmDto(
            v.Id, v.Name, v.HostId, hosts.GetValueOrDefault(v.HostId, ""), links.IsConnected(v.HostId), v.Vcpus, v.MemoryMib, v.Kernel, v.Initrd, v.CommandLine,
            [.. v.Devices.Select(d => new VmDeviceDto(d.Address, d.Mac))], v.StopSeconds, v.Desired, v.Deleting, v.Generation, v.State, v.ObservedGeneration, v.ObservedAt, v.Problem, v.Steps,
            v.ProcessId, v.StartedAt, v.EndReason, v.CreatedAt, active[v.Id].Select(o => (Guid?)o).LastOrDefault(), v.Interrupts, v.Switches, v.GuestCounts, v.ProjectId))];
    }

    private static void MustRun(VmRow vm)
    {
        if (vm.Desired != DesiredRun.Running && vm.State is VmState.Stopped or VmState.Failed or VmState.Unknown)
            throw Refuse("vm-not-running", $"VM {vm.Name} does not run.", null);
    }

    private static ProblemException Refuse(string code, string detail, string? remedy) => new(ProblemKind.Conflict, code, "Not now.", detail, remedy);

    /// <summary>Two requests at the same moment, on different hosts or replicas: the database's own rules decide, in the same words.</summary>
    private static async Task<Guid> Guarded(Func<Task<Guid>> change)
    {
        try
        {
            return await change();
        }
        catch (DbUpdateException e) when (e.InnerException is PostgresException { ConstraintName: ControlPlaneContext.VmNameIndex })
        {
            throw ProblemException.ForField(ProblemKind.Conflict, "vm-name-taken", "The VM cannot be created.", "name", "Another VM has just taken this name.", "Choose another name.");
        }
        catch (DbUpdateException e) when (e.InnerException is PostgresException { ConstraintName: ControlPlaneContext.DeviceOwnerIndex })
        {
            throw ProblemException.ForField(ProblemKind.Conflict, "device-owned", "The VM cannot be created.", "devices", "Another VM has just taken one of these VFs.", "Choose another VF.");
        }
    }
}
