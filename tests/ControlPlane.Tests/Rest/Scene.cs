using System.Globalization;
using System.Net.Http.Headers;
using System.Text;
using Exitless.Contracts;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Rest.Conventions;
using Exitless.ControlPlane.Tests.Fixtures;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using VmState = Exitless.Contracts.VmState;

namespace Exitless.ControlPlane.Tests.Rest;

/// <summary>One of everything, in the state that an operation of the API needs, to put in the place of what its example speaks of.</summary>
internal sealed class Scene : IAsyncDisposable
{
    private static readonly HashSet<string> WantRunning = ["StopVm", "ForceOffVm", "SwitchInterrupts", "LocateVm"];
    private static readonly HashSet<string> WantFreeVfs = ["CreateVm", "SetVfs"];

    private readonly TestHost _host;
    private readonly Dictionary<string, string> _real = new(StringComparer.Ordinal);
    private readonly List<IAsyncDisposable> _actors = [];

    private Scene(TestHost host) => _host = host;

    public static async Task<Scene> SetAsync(TestHost host, ApiOperation operation)
    {
        var scene = new Scene(host);
        await scene.SetAsync(operation);
        return scene;
    }

    /// <summary>A text of the examples with the real things in it.</summary>
    public string Real(string text) => _real.Aggregate(text, (t, pair) => t.Replace(pair.Key, pair.Value, StringComparison.Ordinal));

    /// <summary>The operation's example, about the real things.</summary>
    public HttpRequestMessage Request(ApiOperation operation)
    {
        var request = new HttpRequestMessage(operation.Method, Real(operation.ExampleTarget));
        if (operation.ExampleBody is { } body)
            request.Content = new StringContent(Real(body.ToJsonString()), Encoding.UTF8, new MediaTypeHeaderValue("application/json"));
        return request;
    }

    /// <summary>The project of the VM and of the token.</summary>
    public Guid ProjectId { get; private set; }

    /// <summary>How much there is of all that a request could have changed. Events that nobody asked for are not: a scripted agent says nothing of itself, and is taken for gone after a while.</summary>
    public async Task<string> StateAsync()
    {
        await using var db = _host.Database();
        var hosts = await db.Hosts.OrderBy(h => h.Id).Select(h => new { h.Id, h.WantedGeneration, h.RevokedAt }).ToListAsync();
        var vms = await db.Vms.OrderBy(v => v.Id).Select(v => new { v.Id, v.Desired, v.Deleting, v.Generation }).ToListAsync();
        return $"""
            operations {await db.Operations.CountAsync()}, finished {await db.Operations.CountAsync(o => o.FinishedAt != null)}
            events {await db.Events.CountAsync(e => e.Actor != null)}
            API tokens {await db.ApiTokens.CountAsync()}, enrolment tokens {await db.EnrolmentTokens.CountAsync()}
            hosts {string.Join(", ", hosts)}
            projects {string.Join(", ", await db.Projects.OrderBy(p => p.Id).Select(p => new { p.Id, p.Name, p.MostVms }).ToListAsync())}
            grants {string.Join(", ", await db.Grants.OrderBy(g => g.Id).Select(g => new { g.SubjectId, g.ProjectId, g.Role }).ToListAsync())}
            people {string.Join(", ", await db.Users.OrderBy(p => p.Id).Select(p => new { p.Id, p.PasswordHash, p.SecurityStamp }).ToListAsync())}
            webhooks {await db.Webhooks.CountAsync()}
            audit {await db.Audit.CountAsync()}
            VMs {string.Join(", ", vms)}, devices {await db.VmDevices.CountAsync()}, PFs {await db.Pfs.CountAsync()}
            """;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var actor in _actors)
            await actor.DisposeAsync();
    }

    private async Task SetAsync(ApiOperation operation)
    {
        var agent = await ScriptedAgent.EnrolAsync(_host, Requests.Name("rack"));
        _actors.Add(agent);
        var link = await agent.ComeUpAsync();
        _actors.Add(new Hanging(link));
        ProjectId = (await _host.Services.GetRequiredService<IProjects>().CreateAsync(new ProjectRequest(Requests.Name("project")), TestHost.By, CancellationToken.None)).Id;
        var request = Requests.Vm(agent.Id, WantFreeVfs.Contains(operation.Id) ? null : Inventories.Vf0, start: false) with { ProjectId = ProjectId };
        var create = await _host.ChangeAsync("/api/v1/vms", request);
        var wanted = await link.WantedAsync(w => w.Vms.Count == 1);
        await link.ReportAsync(wanted, VmState.Stopped);
        await _host.EndOfAsync(create);
        if (WantRunning.Contains(operation.Id))
        {
            var start = await _host.ChangeAsync($"/api/v1/vms/{create.VmId}/actions/start");
            wanted = await link.WantedAsync(w => w.Vms[0].Run == WantedRun.Running);
            await link.ReportAsync(wanted, VmState.Running, v => v.Locality = Locality());
            await _host.EndOfAsync(start);
        }
        var operationId = create.Id;
        if (operation.Id is "CancelOperation" or "ListOperations")
        {
            await link.HangUpAsync();
            operationId = (await _host.ChangeAsync($"/api/v1/vms/{create.VmId}/actions/start")).Id;
        }
        else if (operation.Reads)
        {
            await TellAsync(link, create.VmId!.Value);
        }
        _real[Example.HostId.ToString("D")] = agent.Id.ToString("D");
        _real[Example.HostName] = agent.Name;
        _real[Example.VmId.ToString("D")] = create.VmId!.Value.ToString("D");
        _real[Example.VmName] = operation.Id == "CreateVm" ? Requests.Name("fresh") : request.Name;
        _real[Example.OperationId.ToString("D")] = operationId.ToString("D");
        _real[Example.TokenName] = Requests.Name("deploy");
        _real[Example.WebhookName] = Requests.Name("pager");
        if (operation.Path.Contains("{webhookId}", StringComparison.Ordinal))
            _real[Example.WebhookId.ToString("D")] = (await _host.Services.GetRequiredService<IWebhooks>().CreateAsync(new WebhookRequest(Requests.Name("hook"), Example.WebhookUrl, ["none-such"]), TestHost.By, CancellationToken.None)).Id.ToString("D");
        _real[Example.PersonName] = Requests.Name("person");
        _real[$"\"{Example.ProjectName}\""] = $"\"{Requests.Name("fresh-project")}\"";
        _real[Example.ProjectId.ToString("D")] = (operation.Id == "DeleteProject" ? await ProjectAsync() : ProjectId).ToString("D");
        if (operation.Path.Contains("{personId}", StringComparison.Ordinal))
            _real[Example.PersonId.ToString("D")] = (await _host.Services.GetRequiredService<IPeopleDirectory>().CreateAsync(new CreatePersonRequest(Requests.Name("ada"), [new GrantDto(Role.Operator, ProjectId)]), TestHost.By, CancellationToken.None)).Id.ToString("D");
        _real[Example.TokenId.ToString("D")] = (await TokenAsync(operation)).ToString("D");
    }

    private async Task<Guid> ProjectAsync() => (await _host.Services.GetRequiredService<IProjects>().CreateAsync(new ProjectRequest(Requests.Name("empty")), TestHost.By, CancellationToken.None)).Id;

    /// <summary>All that a host reports beside its inventory.</summary>
    private async Task TellAsync(ScriptedLink link, Guid vm)
    {
        var report = new DoctorReport { Findings = { new Finding { Id = "iommu-posting", Severity = "warning", Title = "The IOMMU does not post interrupts.", Evidence = { new Evidence { Path = "/sys/x", Value = "N" } } } } };
        await link.SendAsync(new AgentMessage { Report = report });
        var foreign = new ForeignVm { ProcessId = 77, Name = "legacy", Program = "/usr/bin/qemu", Vectors = { new ForeignVector { Address = Inventories.Vf1, Grade = "posted" } } };
        await link.SendAsync(new AgentMessage { Foreign = new ForeignVms { Vms = { foreign } } });
        var start = _host.Clock.GetUtcNow().AddMinutes(-1).ToUnixTimeMilliseconds();
        await link.SendAsync(new AgentMessage { Schema = new SampleSchema { VmId = vm.ToString(), SchemaId = 1, Series = { new Series { Key = "kvm.vcpu.0.exits", Unit = "exits", Kind = Contracts.SeriesKind.Counter } } } });
        await link.SendAsync(new AgentMessage { Rows = new SampleRows { VmId = vm.ToString(), SchemaId = 1, Kind = RowKind.Stored, Rows = { new SampleRow { Time = start, Values = { 1 } } } } });
        await link.AckAsync(vm);
        _real[Uri.EscapeDataString(Example.From)] = (start / 1000).ToString(CultureInfo.InvariantCulture);
        _real[Uri.EscapeDataString(Example.To)] = ((start / 1000) + 60).ToString(CultureInfo.InvariantCulture);
        // Messages of a link are taken in order: with the rows the others have been taken too, but for those that are written meanwhile.
        await _host.UntilAsync("the report is there", async () => (await _host.GetAsync<List<FindingDto>>("/api/v1/findings")).Count > 0);
    }

    private async Task<Guid> TokenAsync(ApiOperation operation)
    {
        var services = _host.Services;
        return operation.Path.StartsWith("/api/v1/enrolment-tokens", StringComparison.Ordinal)
            ? (await services.GetRequiredService<IEnrolmentTokens>().CreateAsync(new CreateEnrolmentTokenRequest("scene"), TestHost.By, CancellationToken.None)).Id
            : (await services.GetRequiredService<IApiTokens>().CreateAsync(new CreateApiTokenRequest(Requests.Name("scene"), null, Role.Viewer, ProjectId), TestHost.By, CancellationToken.None)).Id;
    }

    private static Contracts.Locality Locality() => new()
    {
        Vectors = { new VectorPlace { Address = Inventories.Vf0, Irq = 44, HostCpus = { 2 }, Vcpu = 0 } },
        Vcpus = { new VcpuPlace { Cpus = { 1 } } },
        Devices = { new DevicePlace { Address = Inventories.Vf0, Node = 0 } },
        Memory = { new NodeMemory { Bytes = 1 << 28 } },
    };

    private sealed class Hanging(ScriptedLink link) : IAsyncDisposable
    {
        public ValueTask DisposeAsync()
        {
            link.Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
