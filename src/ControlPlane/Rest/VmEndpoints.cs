using System.Globalization;
using Exitless.ControlPlane.Access;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Rest.Conventions;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;

namespace Exitless.ControlPlane.Rest;

/// <summary>VMs and their metrics. Public, because the API's description is drawn from its comments.</summary>
public static class VmEndpoints
{
    internal static void Map(IEndpointRouteBuilder api)
    {
        var vms = api.MapGroup("/vms").WithTags("VMs");
        vms.MapGet("", ListVms).WithName(nameof(ListVms)).Needs(Role.Viewer, Reach.Anywhere).ProducesProblem(400).ProducesProblem(404)
            .IsList<VmDto>(v => [v.Name, v.Id.ToString("D")], descending: false, "name", "state", "desired", "hostConnected", "projectId").InProject<VmDto>(v => v.ProjectId).WithExample(200, new[] { Example.Vm }, null, ("state", "running"), ("limit", "50"));
        vms.MapPost("", CreateVm).WithName(nameof(CreateVm)).Needs(Role.Operator, Reach.Project).ProducesProblem(400).ProducesProblem(409)
            .Creates().WithExample(202, Started(OperationKind.CreateVm, "Create"), Example.CreateVm);
        vms.MapGet("/{vmId:guid}", GetVm).WithName(nameof(GetVm)).Needs(Role.Viewer, Reach.Project).ProducesProblem(404).WithExample(200, Example.Vm);
        vms.MapDelete("/{vmId:guid}", DeleteVm).WithName(nameof(DeleteVm)).Needs(Role.Operator, Reach.Project).ProducesProblem(404).ProducesProblem(409).Changes(Resources.Vm).WithExample(202, Started(OperationKind.DeleteVm, "Delete"));
        vms.MapPost("/{vmId:guid}/actions/start", StartVm).WithName(nameof(StartVm)).Needs(Role.Operator, Reach.Project).ProducesProblem(404).ProducesProblem(409).Changes(Resources.Vm).WithExample(202, Started(OperationKind.StartVm, "Start"));
        vms.MapPost("/{vmId:guid}/actions/stop", StopVm).WithName(nameof(StopVm)).Needs(Role.Operator, Reach.Project).ProducesProblem(404).ProducesProblem(409).Changes(Resources.Vm).WithExample(202, Started(OperationKind.StopVm, "Stop"));
        vms.MapPost("/{vmId:guid}/actions/force-off", ForceOffVm).WithName(nameof(ForceOffVm)).Needs(Role.Operator, Reach.Project).ProducesProblem(404).ProducesProblem(409).Changes(Resources.Vm).WithExample(202, Started(OperationKind.ForceOffVm, "Force off"));
        vms.MapPost("/{vmId:guid}/actions/switch-interrupts", SwitchInterrupts).WithName(nameof(SwitchInterrupts)).Needs(Role.Operator, Reach.Project).ProducesProblem(400).ProducesProblem(404).ProducesProblem(409)
            .Changes(Resources.Vm).WithExample(202, Started(OperationKind.SwitchInterrupts, "Switch the interrupts of"), new InterruptSwitch(InterruptPath.Injected, Example.Vf, 0));
        vms.MapGet("/{vmId:guid}/locality", LocateVm).WithName(nameof(LocateVm)).Needs(Role.Viewer, Reach.Project).ProducesProblem(404).WithExample(200, Example.Locality);
        vms.MapGet("/{vmId:guid}/series", ListSeries).WithName(nameof(ListSeries)).Needs(Role.Viewer, Reach.Project).WithTags("Metrics").ProducesProblem(400).ProducesProblem(404)
            .IsList<SeriesDto>(s => [s.Key], descending: false, "kind", "unit").WithExample(200, new[] { Example.Series });
        vms.MapGet("/{vmId:guid}/metrics", GetMetrics).WithName(nameof(GetMetrics)).Needs(Role.Viewer, Reach.Project).WithTags("Metrics").ProducesProblem(400).ProducesProblem(404)
            .WithExample(200, Example.Metrics, null, ("series", "kvm.vcpu.0.exits"), ("from", Example.From), ("to", Example.To), ("step", "60"));
    }

    private static OperationDto Started(OperationKind kind, string verb) => Example.Operation(kind, $"{verb} VM {Example.VmName} on {Example.HostName}");

    /// <summary>Lists the VMs, by name.</summary>
    /// <param name="hostId">Of this host only.</param>
    /// <param name="vms">The VMs.</param>
    /// <param name="context">The request.</param>
    /// <param name="ct">Ends with the request.</param>
    public static async Task<Ok<IReadOnlyList<VmDto>>> ListVms(Guid? hostId, IVmService vms, HttpContext context, CancellationToken ct)
    {
        ArgumentNullException.ThrowIfNull(vms);
        ArgumentNullException.ThrowIfNull(context);
        var query = context.Request.Query;
        // What is common to all lists is done after this one has been read; only what can be on the page is read.
        int? limit = query.TryGetValue("limit", out var asked) ? Cursor.Limit(asked) : null;
        var after = query.TryGetValue("cursor", out var cursor) && !string.IsNullOrEmpty(cursor) ? Cursor.Read(nameof(ListVms), cursor.ToString()) : null;
        return TypedResults.Ok(await vms.ListAsync(new VmFilter(hostId, context.Features.Get<Rights>()?.Projects, after?[0], limit + 2)
        {
            Names = Values<string>("name"),
            States = Values<VmState>("state"),
            Desired = Values<DesiredRun>("desired"),
            HostConnected = Values<bool>("hostConnected"),
            Projects = Values<Guid>("projectId"),
        }, ct));

        IReadOnlyList<T> Values<T>(string member) => query.TryGetValue(member, out var texts) ? MemberFilter.Values<T>(typeof(VmDto), member, texts) : [];
    }

    /// <summary>Shows one VM: what is wanted of it, and what its host reports.</summary>
    /// <param name="vmId">The VM's id.</param>
    /// <param name="vms">The VMs.</param>
    /// <param name="ct">Ends with the request.</param>
    public static async Task<Ok<VmDto>> GetVm(Guid vmId, IVmService vms, CancellationToken ct) => TypedResults.Ok(await vms.GetAsync(vmId, ct));

    /// <summary>Shows where a running VM's interrupts, vCPUs, devices and memory are, and what of it costs. Empty while it does not run.</summary>
    /// <param name="vmId">The VM's id.</param>
    /// <param name="vms">The VMs.</param>
    /// <param name="ct">Ends with the request.</param>
    public static async Task<Ok<LocalityDto>> LocateVm(Guid vmId, IVmService vms, CancellationToken ct) => TypedResults.Ok(await vms.LocateAsync(vmId, ct));

    /// <summary>Creates a VM, and starts it if 'start' is true. Everything is checked before anything is written.</summary>
    /// <param name="request">The VM.</param>
    /// <param name="wait">Seconds to wait for the operation's end, 0 to 300; also <c>Prefer: wait=n</c>.</param>
    /// <param name="vms">The VMs.</param>
    /// <param name="operations">The operations.</param>
    /// <param name="context">The request.</param>
    public static Task<Accepted<OperationDto>> CreateVm(CreateVmRequest request, int? wait, IVmService vms, IOperationLog operations, HttpContext context) =>
        Answers.AcceptedAsync(context, operations, wait, () => vms.CreateAsync(request, Actor.From(context.User), context.RequestAborted));

    /// <summary>Starts a VM. For one that failed this is also the retry.</summary>
    /// <param name="vmId">The VM's id.</param>
    /// <param name="wait">Seconds to wait for the operation's end, 0 to 300; also <c>Prefer: wait=n</c>.</param>
    /// <param name="vms">The VMs.</param>
    /// <param name="operations">The operations.</param>
    /// <param name="context">The request.</param>
    public static Task<Accepted<OperationDto>> StartVm(Guid vmId, int? wait, IVmService vms, IOperationLog operations, HttpContext context) =>
        Answers.AcceptedAsync(context, operations, wait, () => vms.StartAsync(vmId, Actor.From(context.User), context.RequestAborted));

    /// <summary>Presses a VM's power button; when its stop time is over, it is ended.</summary>
    /// <param name="vmId">The VM's id.</param>
    /// <param name="wait">Seconds to wait for the operation's end, 0 to 300; also <c>Prefer: wait=n</c>.</param>
    /// <param name="vms">The VMs.</param>
    /// <param name="operations">The operations.</param>
    /// <param name="context">The request.</param>
    public static Task<Accepted<OperationDto>> StopVm(Guid vmId, int? wait, IVmService vms, IOperationLog operations, HttpContext context) =>
        Answers.AcceptedAsync(context, operations, wait, () => vms.StopAsync(vmId, Actor.From(context.User), context.RequestAborted));

    /// <summary>Ends a VM at once, as if its plug were pulled.</summary>
    /// <param name="vmId">The VM's id.</param>
    /// <param name="wait">Seconds to wait for the operation's end, 0 to 300; also <c>Prefer: wait=n</c>.</param>
    /// <param name="vms">The VMs.</param>
    /// <param name="operations">The operations.</param>
    /// <param name="context">The request.</param>
    public static Task<Accepted<OperationDto>> ForceOffVm(Guid vmId, int? wait, IVmService vms, IOperationLog operations, HttpContext context) =>
        Answers.AcceptedAsync(context, operations, wait, () => vms.ForceOffAsync(vmId, Actor.From(context.User), context.RequestAborted));

    /// <summary>Throws the switch of a running VM's interrupts, without the guest's noticing: to injection, or back to the best path that its host has.</summary>
    /// <param name="vmId">The VM's id.</param>
    /// <param name="request">The path, and of which device or vector.</param>
    /// <param name="wait">Seconds to wait for the operation's end, 0 to 300; also <c>Prefer: wait=n</c>.</param>
    /// <param name="vms">The VMs.</param>
    /// <param name="operations">The operations.</param>
    /// <param name="context">The request.</param>
    public static Task<Accepted<OperationDto>> SwitchInterrupts(Guid vmId, InterruptSwitch request, int? wait, IVmService vms, IOperationLog operations, HttpContext context) =>
        Answers.AcceptedAsync(context, operations, wait, () => vms.SwitchInterruptsAsync(vmId, request, Actor.From(context.User), context.RequestAborted));

    /// <summary>Deletes a stopped VM and frees its VFs.</summary>
    /// <param name="vmId">The VM's id.</param>
    /// <param name="wait">Seconds to wait for the operation's end, 0 to 300; also <c>Prefer: wait=n</c>.</param>
    /// <param name="vms">The VMs.</param>
    /// <param name="operations">The operations.</param>
    /// <param name="context">The request.</param>
    public static Task<Accepted<OperationDto>> DeleteVm(Guid vmId, int? wait, IVmService vms, IOperationLog operations, HttpContext context) =>
        Answers.AcceptedAsync(context, operations, wait, () => vms.DeleteAsync(vmId, Actor.From(context.User), context.RequestAborted));

    /// <summary>Lists every series that a VM has had.</summary>
    /// <param name="vmId">The VM's id.</param>
    /// <param name="metrics">The metrics.</param>
    /// <param name="ct">Ends with the request.</param>
    public static async Task<Ok<IReadOnlyList<SeriesDto>>> ListSeries(Guid vmId, IMetricsQuery metrics, CancellationToken ct) => TypedResults.Ok(await metrics.ListSeriesAsync(vmId, ct));

    /// <summary>Stored metrics of a VM: raw rows, one every 10 s, or with 'step' one point a step (a counter's rate per second, a gauge's last value).</summary>
    /// <param name="vmId">The VM's id.</param>
    /// <param name="series">Keys, by commas or repeated; a trailing * takes all that begin so; none: all.</param>
    /// <param name="from">The first time: RFC 3339, or Unix seconds; default: an hour before 'to'.</param>
    /// <param name="to">The end, which is not part of the range: RFC 3339, or Unix seconds; default: now.</param>
    /// <param name="step">Seconds a point, 1 to 86400; none: raw rows.</param>
    /// <param name="metrics">The metrics.</param>
    /// <param name="time">The clock.</param>
    /// <param name="ct">Ends with the request.</param>
    public static async Task<Ok<MetricsDto>> GetMetrics(Guid vmId, string[]? series, string? from, string? to, double? step, IMetricsQuery metrics, TimeProvider time, CancellationToken ct)
    {
        ArgumentNullException.ThrowIfNull(metrics);
        ArgumentNullException.ThrowIfNull(time);
        var mistakes = new Mistakes();
        var end = Time("to", to) ?? time.GetUtcNow();
        var begin = Time("from", from) ?? (end - DateTimeOffset.UnixEpoch > TimeSpan.FromHours(1) ? end.AddHours(-1) : DateTimeOffset.UnixEpoch);
        if (step is not null and not (>= 1 and <= 86400))
            mistakes.Add("step", $"A step of {step} s is not between 1 and 86400.");
        mistakes.Throw("metrics-query-invalid", "The metrics cannot be asked for so.");
        var keys = (series ?? []).SelectMany(s => s.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)).ToList();
        return TypedResults.Ok(await metrics.QueryAsync(new MetricsRequest(vmId, keys, begin, end, step is { } s ? TimeSpan.FromSeconds(s) : null), ct));

        DateTimeOffset? Time(string field, string? value)
        {
            if (string.IsNullOrEmpty(value))
                return null;
            if (double.TryParse(value, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var seconds) && seconds < 253402300800)
                return DateTimeOffset.UnixEpoch.AddSeconds(seconds);
            if (DateTimeOffset.TryParse(value, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var moment))
                return moment;
            mistakes.Add(field, $"'{value}' is no time.", "Write it like 2026-01-31T12:00:00Z, or as Unix seconds.");
            return null;
        }
    }
}
