using System.Text.Json;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Tests.Fixtures;

namespace Exitless.ControlPlane.Tests.Rest;

/// <summary>Pages, filters and sparse fields of lists.</summary>
public sealed class PagingTests(TestHost host) : IClassFixture<TestHost>
{
    [Theory]
    [InlineData("/api/v1/vms?limit=2")]
    [InlineData("/api/v1/operations?limit=2")]
    [InlineData("/api/v1/events?limit=2")]
    [InlineData("/api/v1/tokens?limit=2")]
    [InlineData("/api/v1/devices?limit=2")]
    public async Task The_pages_of_a_list_are_the_list(string path)
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "pages");
        using var link = await agent.ComeUpAsync();
        for (var i = 0; i < 5; i++)
        {
            await host.ChangeAsync("/api/v1/vms", Requests.Vm(agent.Id, null, start: false));
            using var made = await host.PostAsync("/api/v1/tokens", new CreateApiTokenRequest(Requests.Name("page")));
        }
        var whole = Ids(await host.GetAsync(path.Replace("limit=2", "limit=1000", StringComparison.Ordinal)));
        var paged = new List<string>();
        var pages = 0;
        for (string? next = path; next is not null; pages++)
        {
            using var answer = await host.Http.GetAsync(new Uri(next, UriKind.Relative), TestContext.Current.CancellationToken);
            Assert.Equal(200, (int)answer.StatusCode);
            using var page = JsonDocument.Parse(await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
            Assert.InRange(page.RootElement.GetArrayLength(), 0, 2);
            paged.AddRange(Ids(page.RootElement));
            next = answer.Headers.TryGetValues("Link", out var link1) ? link1.Single().Split('<', '>')[1] : null;
            Assert.True(link1 is null || link1.Single().EndsWith("; rel=\"next\"", StringComparison.Ordinal));
        }
        Assert.Equal(whole, paged);
        Assert.InRange(pages, 2, int.MaxValue);
    }

    [Fact]
    public async Task What_comes_before_a_page_does_not_move_it()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "moving");
        using var link = await agent.ComeUpAsync();
        foreach (var name in (string[])["zz-b", "zz-d", "zz-f"])
            await host.ChangeAsync("/api/v1/vms", Requests.Vm(agent.Id, null, start: false) with { Name = name });
        using var first = await host.Http.GetAsync(new Uri($"/api/v1/vms?hostId={agent.Id}&limit=2&fields=name", UriKind.Relative), TestContext.Current.CancellationToken);
        var next = first.Headers.GetValues("Link").Single().Split('<', '>')[1];
        await host.ChangeAsync("/api/v1/vms", Requests.Vm(agent.Id, null, start: false) with { Name = "zz-a" });
        await host.ChangeAsync("/api/v1/vms", Requests.Vm(agent.Id, null, start: false) with { Name = "zz-e" });
        Assert.Equal("""[{"name":"zz-e"},{"name":"zz-f"}]""", (await host.GetAsync(next)).GetRawText());
    }

    [Fact]
    public async Task Lists_are_filtered_by_members_and_answers_thinned_to_fields()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "filters");
        using var link = await agent.ComeUpAsync();
        var vfs = await host.GetAsync<List<DeviceDto>>($"/api/v1/hosts/{agent.Id}/devices?kind=vf&assignable=true");
        Assert.Equal([Inventories.Vf0, Inventories.Vf1], vfs.Select(v => v.Address));
        Assert.Equal(3, (await host.GetAsync<List<DeviceDto>>($"/api/v1/devices?hostId={agent.Id}&kind=vf&kind=pf")).Count);
        Assert.Empty(await host.GetAsync<List<DeviceDto>>($"/api/v1/devices?hostId={agent.Id}&numaNode=7"));
        var host1 = await host.GetAsync($"/api/v1/hosts/{agent.Id}?fields=name,facts.kernel,facts.images.name");
        Assert.Equal("""{"name":"filters","facts":{"kernel":"6.12.0-test","images":[{"name":"debian.vmlinuz"},{"name":"demo.initrd"}]}}""", host1.GetRawText());
        var create = await host.ChangeAsync("/api/v1/vms", Requests.Vm(agent.Id));
        Assert.Equal([create.Id], (await host.GetAsync<List<OperationDto>>($"/api/v1/operations?hostId={agent.Id}&kind=createVm&state=waiting")).Select(o => o.Id));
        Assert.Empty(await host.GetAsync<List<OperationDto>>($"/api/v1/operations?hostId={agent.Id}&kind=deleteVm"));
        Assert.Equal(["vm-created"], (await host.GetAsync<List<EventDto>>($"/api/v1/events?vmId={create.VmId}&kind=vm-created&severity=info")).Select(e => e.Kind));
    }

    [Theory]
    [InlineData("state=unknown&state=stopped")]
    [InlineData("state=stopped")]
    [InlineData("desired=stopped&desired=off")]
    [InlineData("desired=running")]
    [InlineData("hostConnected=true")]
    [InlineData("hostConnected=false")]
    [InlineData("hostConnected=true&hostConnected=false")]
    [InlineData("projectId=00000000-0000-7000-8000-000000000001")]
    [InlineData("projectId=00000000-0000-7000-8000-000000000002")]
    public async Task Filtered_pages_of_VMs_are_what_the_whole_list_has(string filter)
    {
        await using var up = await ScriptedAgent.EnrolAsync(host, "up");
        using var link = await up.ComeUpAsync();
        for (var i = 0; i < 3; i++)
            await host.ChangeAsync("/api/v1/vms", Requests.Vm(up.Id, null, start: false));
        await using (var away = await ScriptedAgent.EnrolAsync(host, "away"))
        {
            using (await away.ComeUpAsync())
            {
                for (var i = 0; i < 3; i++)
                    await host.ChangeAsync("/api/v1/vms", Requests.Vm(away.Id, null, start: false));
            }
            await host.UntilAsync("the other host is away", async () => !(await host.GetAsync<HostDto>($"/api/v1/hosts/{away.Id}")).Connected);
        }
        var wanted = filter.Split('&').Select(f => f.Split('=')).ToLookup(f => f[0], f => f[1], StringComparer.Ordinal);
        var whole = (await host.GetAsync("/api/v1/vms")).EnumerateArray().Where(vm => wanted.All(w => w.Contains(vm.GetProperty(w.Key).ToString().ToLowerInvariant()))).Select(vm => vm.GetProperty("id").GetString()!).ToList();
        var paged = new List<string>();
        for (string? next = $"/api/v1/vms?{filter}&limit=2"; next is not null;)
        {
            using var answer = await host.Http.GetAsync(new Uri(next, UriKind.Relative), TestContext.Current.CancellationToken);
            using var page = JsonDocument.Parse(await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
            paged.AddRange(Ids(page.RootElement));
            next = answer.Headers.TryGetValues("Link", out var links) ? links.Single().Split('<', '>')[1] : null;
        }
        Assert.Equal(whole, paged);
        Assert.Equal(filter.EndsWith("off", StringComparison.Ordinal) || !filter.EndsWith('2') && filter != "desired=running" && filter != "state=stopped", paged.Count > 2);
    }

    [Theory]
    [InlineData("/api/v1/vms?limit=0", "limit-invalid", "limit")]
    [InlineData("/api/v1/vms?limit=1001", "limit-invalid", "limit")]
    [InlineData("/api/v1/vms?cursor=nonsense", "cursor-invalid", "cursor")]
    [InlineData("/api/v1/events?cursor=WyJMaXN0Vm1zIiwiYSJd", "cursor-invalid", "cursor")]
    [InlineData("/api/v1/vms?state=dreaming", "filter-invalid", "state")]
    [InlineData("/api/v1/hosts?connected=perhaps", "filter-invalid", "connected")]
    [InlineData("/api/v1/operations?kind=nothing", "filter-invalid", "kind")]
    [InlineData("/api/v1/vms?fields=name,colour", "fields-unknown", "fields")]
    [InlineData("/api/v1/vms?fields=name.length", "fields-unknown", "fields")]
    [InlineData("/api/v1/vms?colour=x", "query-unknown", "colour")]
    [InlineData("/api/v1/vms?hostId=x", "request-invalid", "hostId")]
    [InlineData("/api/v1/operations?active=x", "request-invalid", "active")]
    [InlineData("/api/v1/operations?limit=99999999999", "request-invalid", "limit")]
    public async Task A_wrong_query_is_refused_by_name(string path, string code, string named)
    {
        var problem = await host.RefusedAsync(HttpMethod.Get, path, null, 400, code);
        Assert.True(problem.GetProperty("errors").TryGetProperty(named, out _), $"{problem}");
    }

    private static List<string> Ids(JsonElement list) => [.. list.EnumerateArray().Select(i => i.TryGetProperty("id", out var id) ? id.GetString()! : i.GetProperty("address").GetString()! + i.GetProperty("hostId").GetString())];
}
