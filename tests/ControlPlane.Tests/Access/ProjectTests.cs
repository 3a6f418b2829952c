using System.Net;
using System.Text.Json.Nodes;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Identity;
using Exitless.ControlPlane.Tests.Fixtures;
using Microsoft.Extensions.DependencyInjection;

namespace Exitless.ControlPlane.Tests.Access;

/// <summary>What the walk over roles does not reach: what lists show to whom, quota, people, and the audit log.</summary>
public sealed class ProjectTests(TestHost host) : IClassFixture<TestHost>
{
    [Fact]
    public async Task Lists_show_what_is_in_the_callers_projects_only()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "shared");
        using var link = await agent.ComeUpAsync();
        var (mine, other) = (await ProjectAsync(), await ProjectAsync());
        var create = await host.ChangeAsync("/api/v1/vms", Requests.Vm(agent.Id, null, start: false) with { ProjectId = mine });
        await host.ChangeAsync("/api/v1/vms", Requests.Vm(agent.Id, null, start: false) with { ProjectId = other });
        await host.ChangeAsync("/api/v1/vms", Requests.Vm(agent.Id, null, start: false));
        using var viewer = host.Client((await TokenAsync(Role.Viewer, mine)).Token);
        Assert.Equal([create.VmId!.Value.ToString()], await IdsAsync(viewer, "/api/v1/vms"));
        Assert.Equal([create.Id.ToString()], await IdsAsync(viewer, "/api/v1/operations"));
        Assert.Single(await IdsAsync(viewer, "/api/v1/events"));
        Assert.Equal([mine.ToString()], await IdsAsync(viewer, "/api/v1/projects"));
        using var admin = host.Client((await TokenAsync(Role.Admin, mine)).Token);
        Assert.Equal(2, (await IdsAsync(admin, "/api/v1/tokens")).Count);
    }

    [Fact]
    public async Task What_is_taken_away_is_gone_at_once()
    {
        var token = await TokenAsync(Role.Viewer, null);
        using var client = host.Client(token.Token);
        Assert.Equal(HttpStatusCode.OK, (await client.GetAsync(new Uri("/api/v1/vms", UriKind.Relative), TestContext.Current.CancellationToken)).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await client.GetAsync(new Uri("/metrics", UriKind.Relative), TestContext.Current.CancellationToken)).StatusCode);
        await using var db = host.Database();
        db.Grants.RemoveRange(db.Grants.Where(g => g.SubjectId == token.Id));
        await db.SaveChangesAsync(TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.Forbidden, (await client.GetAsync(new Uri("/api/v1/vms", UriKind.Relative), TestContext.Current.CancellationToken)).StatusCode);
        Assert.Equal(HttpStatusCode.Forbidden, (await client.GetAsync(new Uri("/metrics", UriKind.Relative), TestContext.Current.CancellationToken)).StatusCode);
    }

    [Theory]
    [InlineData(1, null, null, null, "name")]
    [InlineData(null, 1, null, null, "vcpus")]
    [InlineData(null, null, 300, null, "memoryMib")]
    [InlineData(null, null, null, 1, "devices")]
    public async Task More_than_the_quota_is_refused_by_field(int? vms, int? vcpus, int? memory, int? vfs, string named)
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "quota");
        using var link = await agent.ComeUpAsync();
        var project = (await host.Services.GetRequiredService<IProjects>().CreateAsync(new ProjectRequest(Requests.Name("quota"), new QuotaDto(vms, vcpus, memory, vfs)), TestHost.By, CancellationToken.None)).Id;
        await host.ChangeAsync("/api/v1/vms", Requests.Vm(agent.Id, Inventories.Vf0, start: false) with { ProjectId = project });
        var problem = await host.RefusedAsync(HttpMethod.Post, "/api/v1/vms", Requests.Vm(agent.Id, null, start: false) with { ProjectId = project, Devices = [new VmDeviceRequest(Inventories.Vf1)] }, 409, "quota-exceeded");
        Assert.Equal([named], problem.GetProperty("errors").EnumerateObject().Select(e => e.Name));
    }

    [Fact]
    public async Task Requests_at_once_never_take_more_than_the_quota()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "rush-a");
        using var link = await agent.ComeUpAsync();
        await using var other = await ScriptedAgent.EnrolAsync(host, "rush-b");
        using var second = await other.ComeUpAsync();
        var project = (await host.Services.GetRequiredService<IProjects>().CreateAsync(new ProjectRequest(Requests.Name("rush"), new QuotaDto(Vms: 3)), TestHost.By, CancellationToken.None)).Id;
        var answers = await Task.WhenAll(Enumerable.Range(0, 12).Select(i => host.PostAsync("/api/v1/vms", Requests.Vm(i % 2 == 0 ? agent.Id : other.Id, null, start: false) with { ProjectId = project, MemoryMib = 64 })));
        Assert.Equal(3, answers.Count(a => (int)a.StatusCode == 202));
        Assert.Equal(9, answers.Count(a => (int)a.StatusCode == 409));
        Array.ForEach(answers, a => a.Dispose());
    }

    [Fact]
    public async Task The_last_administrator_stays_and_the_default_project_too()
    {
        var people = host.Services.GetRequiredService<IPeopleDirectory>();
        var admin = (await people.ListAsync(CancellationToken.None)).Single(p => p.Name == People.Administrator);
        await host.RefusedAsync(HttpMethod.Delete, $"/api/v1/people/{admin.Id}", null, 409, "last-admin");
        await host.RefusedAsync(HttpMethod.Put, $"/api/v1/people/{admin.Id}/grants", new SetGrantsRequest([new GrantDto(Role.Operator)]), 409, "last-admin");
        await host.RefusedAsync(HttpMethod.Delete, $"/api/v1/projects/{ProjectDto.DefaultId}", null, 409, "project-default");
    }

    [Fact]
    public async Task The_audit_log_says_who_changed_what_from_what_to_what()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "audited");
        using var link = await agent.ComeUpAsync();
        var token = await TokenAsync(Role.Operator, null);
        using var client = host.Client(token.Token);
        var create = await host.ChangeAsync("/api/v1/vms", Requests.Vm(agent.Id, null, start: false));
        var wanted = await link.WantedAsync(w => w.Vms.Count == 1);
        await link.ReportAsync(wanted, Contracts.VmState.Stopped);
        await host.EndOfAsync(create);
        using (var started = await client.PostAsync(new Uri($"/api/v1/vms/{create.VmId}/actions/start", UriKind.Relative), null, TestContext.Current.CancellationToken))
            Assert.Equal(202, (int)started.StatusCode);
        var rows = await host.GetAsync<List<AuditDto>>($"/api/v1/audit?kind=vm&thingId={create.VmId}");
        Assert.Equal([AuditAction.Changed, AuditAction.Created], rows.Select(r => r.Action));
        Assert.Equal(("token " + token.Name, (Guid?)token.Id), (rows[0].Actor, rows[0].ActorId));
        Assert.Equal("""{"desired":"stopped"}{"desired":"running"}""", rows[0].Before!.ToJsonString() + rows[0].After!.ToJsonString());
        Assert.Null(rows[1].Before);
        Assert.Equal("debian.vmlinuz", (string?)rows[1].After!["kernel"]);
        // What the host reports is no change that somebody made.
        Assert.Equal(2, rows.Count);
    }

    [Fact]
    public async Task The_audit_log_holds_no_secret()
    {
        var made = await host.Services.GetRequiredService<IPeopleDirectory>().CreateAsync(new CreatePersonRequest(Requests.Name("secretive"), [new GrantDto(Role.Viewer)]), TestHost.By, CancellationToken.None);
        var row = Assert.Single(await host.GetAsync<List<AuditDto>>($"/api/v1/audit?kind=person&thingId={made.Id}"));
        Assert.Equal("""{"userName":"NAME","passwordHash":"not shown","securityStamp":"not shown"}""".Replace("NAME", made.Name, StringComparison.Ordinal), row.After!.ToJsonString());
    }

    private Task<CreatedApiTokenDto> TokenAsync(Role role, Guid? project) =>
        host.Services.GetRequiredService<IApiTokens>().CreateAsync(new CreateApiTokenRequest(Requests.Name("member"), null, role, project), TestHost.By, CancellationToken.None);

    private async Task<Guid> ProjectAsync() => (await host.Services.GetRequiredService<IProjects>().CreateAsync(new ProjectRequest(Requests.Name("project")), TestHost.By, CancellationToken.None)).Id;

    private static async Task<List<string>> IdsAsync(HttpClient client, string path) =>
        [.. JsonNode.Parse(await client.GetStringAsync(new Uri(path, UriKind.Relative)))!.AsArray().Select(i => (string)i!["id"]!)];
}
