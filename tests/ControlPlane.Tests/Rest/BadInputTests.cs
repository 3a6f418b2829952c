using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Exitless.Contracts;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Tests.Fixtures;

namespace Exitless.ControlPlane.Tests.Rest;

/// <summary>What a person or script can get wrong: each is refused by name, with a remedy, and leaves nothing behind.</summary>
public sealed class BadInputTests(TestHost host) : IClassFixture<TestHost>
{
    public static TheoryData<string, string, string, string> WrongVms => new()
    {
        { "name", "\"\"", "vm-invalid", "name" },
        { "name", "\"-x\"", "vm-invalid", "name" },
        { "name", "\"a b\"", "vm-invalid", "name" },
        { "name", $"\"{new string('x', 64)}\"", "vm-invalid", "name" },
        { "vcpus", "0", "vm-invalid", "vcpus" },
        { "vcpus", "5", "vcpus-too-many", "vcpus" },
        { "memoryMib", "63", "vm-invalid", "memoryMib" },
        { "memoryMib", "4097", "memory-too-much", "memoryMib" },
        { "kernel", "\"\"", "vm-invalid", "kernel" },
        { "kernel", "\"nothing.vmlinuz\"", "image-not-found", "kernel" },
        { "kernel", "\"demo.initrd\"", "image-not-found", "kernel" },
        { "initrd", "\"nothing.initrd\"", "image-not-found", "initrd" },
        { "commandLine", $"\"{new string('x', 2048)}\"", "vm-invalid", "commandLine" },
        { "commandLine", "\"a\\nb\"", "vm-invalid", "commandLine" },
        { "stopSeconds", "0", "vm-invalid", "stopSeconds" },
        { "interrupts", "\"fast\"", "json-invalid", "interrupts" },
        { "hostId", "\"00000000-0000-0000-0000-000000000001\"", "host-not-found", "hostId" },
        { "devices", "[{\"address\":\"1:2.3\"}]", "vm-invalid", "devices[0].address" },
        { "devices", "[{\"address\":\"0000:02:10.0\"}]", "device-not-found", "devices[0].address" },
        { "devices", "[{\"address\":\"0000:01:00.0\"}]", "device-not-a-vf", "devices[0].address" },
        { "devices", "[{\"address\":\"0000:00:1f.2\"}]", "device-in-use", "devices[0].address" },
        { "devices", "[{\"address\":\"0000:01:10.0\"},{\"address\":\"0000:01:10.0\"}]", "device-twice", "devices[1].address" },
        { "devices", "[{\"address\":\"0000:01:10.0\",\"mac\":\"01:00:00:00:00:01\"}]", "vm-invalid", "devices[0].mac" },
        { "devices", "[{\"address\":\"0000:01:10.0\",\"mac\":\"zz\"}]", "vm-invalid", "devices[0].mac" },
        { "devices", "[{\"address\":\"0000:01:10.0\",\"mac\":\"00:00:00:00:00:00\"}]", "vm-invalid", "devices[0].mac" },
    };

    [Theory]
    [MemberData(nameof(WrongVms))]
    public async Task A_wrong_vm_is_refused_by_field_and_leaves_nothing(string field, string value, string code, string named)
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "wrong");
        using var link = await agent.ComeUpAsync();
        var good = JsonSerializer.SerializeToNode(Requests.Vm(agent.Id), ControlPlane.Rest.JsonFormat.Options)!;
        good[field] = System.Text.Json.Nodes.JsonNode.Parse(value);
        using var body = Json(good.ToJsonString());
        var problem = await host.RefusedAsync(HttpMethod.Post, "/api/v1/vms", body, code == "device-in-use" ? 409 : 400, code);
        Assert.True(problem.GetProperty("errors").TryGetProperty(named, out var words), $"{problem}");
        Assert.NotEqual(0, words.GetArrayLength());
        Assert.False(string.IsNullOrEmpty(problem.GetProperty("remedy").GetString()), $"{problem}");
        Assert.Empty(await host.GetAsync<List<VmDto>>($"/api/v1/vms?hostId={agent.Id}"));
        Assert.Empty(await host.GetAsync<List<OperationDto>>($"/api/v1/operations?hostId={agent.Id}"));
    }

    [Fact]
    public async Task All_mistakes_are_named_at_once()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "many");
        using var link = await agent.ComeUpAsync();
        var problem = await host.RefusedAsync(HttpMethod.Post, "/api/v1/vms", Requests.Vm(agent.Id) with { Name = "?", Vcpus = 99, Kernel = "none", MemoryMib = 1 }, 400, "vm-invalid");
        Assert.Equal(["kernel", "memoryMib", "name", "vcpus"], problem.GetProperty("errors").EnumerateObject().Select(e => e.Name).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task The_same_vf_for_two_vms_is_refused()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "twovms");
        using var link = await agent.ComeUpAsync();
        var first = Requests.Vm(agent.Id);
        await host.ChangeAsync("/api/v1/vms", first);
        var problem = await host.RefusedAsync(HttpMethod.Post, "/api/v1/vms", Requests.Vm(agent.Id) with { Devices = [new VmDeviceRequest(Inventories.Vf0)] }, 409, "device-owned");
        Assert.Contains(first.Name, problem.GetProperty("detail").GetString(), StringComparison.Ordinal);
        await host.RefusedAsync(HttpMethod.Post, "/api/v1/vms", Requests.Vm(agent.Id) with { Devices = [new VmDeviceRequest(Inventories.Vf1, "02:00:00:00:00:01")] }, 409, "mac-taken");
        await host.RefusedAsync(HttpMethod.Post, "/api/v1/vms", Requests.Vm(agent.Id, null) with { Name = first.Name }, 409, "vm-name-taken");
        Assert.Single(await host.GetAsync<List<VmDto>>($"/api/v1/vms?hostId={agent.Id}"));
    }

    [Fact]
    public async Task Two_requests_for_the_same_vf_at_once_have_one_winner()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "race");
        using var link = await agent.ComeUpAsync();
        var answers = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => host.PostAsync("/api/v1/vms", Requests.Vm(agent.Id) with { Devices = [new VmDeviceRequest(Inventories.Vf0)], MemoryMib = 64 })));
        Assert.Equal([202, 409, 409, 409, 409, 409, 409, 409], answers.Select(a => (int)a.StatusCode).Order());
        Array.ForEach(answers, a => a.Dispose());
    }

    [Fact]
    public async Task A_vf_of_another_host_is_refused()
    {
        await using var one = await ScriptedAgent.EnrolAsync(host, "here");
        using var link = await one.ComeUpAsync(i => i.Devices.Clear());
        await using var other = await ScriptedAgent.EnrolAsync(host, "there");
        using var there = await other.ComeUpAsync();
        var problem = await host.RefusedAsync(HttpMethod.Post, "/api/v1/vms", Requests.Vm(one.Id), 400, "device-not-found");
        Assert.Contains("of the host it lives on", problem.GetProperty("remedy").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_group_that_is_not_viable_names_the_sibling_and_its_driver()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "group");
        using var link = await agent.ComeUpAsync(i => i.Devices.Add(new PciDevice { Address = "0000:01:11.0", ClassCode = 0x020000, Driver = "e1000e", IommuGroup = 3 }));
        var problem = await host.RefusedAsync(HttpMethod.Post, "/api/v1/vms", Requests.Vm(agent.Id), 409, "group-not-viable");
        Assert.Contains("0000:01:11.0", problem.GetProperty("detail").GetString(), StringComparison.Ordinal);
        Assert.Contains("e1000e", problem.GetProperty("detail").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_vf_without_an_iommu_group_is_refused()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "noiommu");
        using var link = await agent.ComeUpAsync(i => i.Devices[2].ClearIommuGroup());
        await host.RefusedAsync(HttpMethod.Post, "/api/v1/vms", Requests.Vm(agent.Id), 409, "no-iommu");
    }

    [Theory]
    [InlineData("kvm", "hostId")]
    [InlineData("iommu", "devices")]
    [InlineData("interrupt-remapping", "devices")]
    public async Task A_host_that_lacks_a_condition_is_refused_with_its_remedy(string capability, string field)
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "lacking");
        using var link = await agent.ComeUpAsync(i =>
        {
            var one = i.Capabilities.Single(c => c.Name == capability);
            (one.Present, one.Detail, one.Remedy) = (false, "it is off", "Turn it on in the firmware.");
        });
        var problem = await host.RefusedAsync(HttpMethod.Post, "/api/v1/vms", Requests.Vm(agent.Id), 409, $"{capability}-missing");
        Assert.Equal("Turn it on in the firmware.", problem.GetProperty("remedy").GetString());
        Assert.True(problem.GetProperty("errors").TryGetProperty(field, out _), $"{problem}");
    }

    [Fact]
    public async Task More_memory_than_is_left_is_refused_when_it_shall_run()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "full");
        using var link = await agent.ComeUpAsync();
        await host.ChangeAsync("/api/v1/vms", Requests.Vm(agent.Id, null) with { MemoryMib = 3000 });
        await host.RefusedAsync(HttpMethod.Post, "/api/v1/vms", Requests.Vm(agent.Id, null) with { MemoryMib = 2000 }, 409, "memory-short");
    }

    [Fact]
    public async Task A_host_without_an_inventory_is_refused()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "silent");
        await host.RefusedAsync(HttpMethod.Post, "/api/v1/vms", Requests.Vm(agent.Id), 409, "host-not-inventoried");
    }

    [Theory]
    [InlineData(Inventories.Vf0, 1, 400, "device-is-vf")]
    [InlineData(Inventories.Plain0, 1, 400, "no-sriov")]
    [InlineData("0000:09:00.0", 1, 404, "device-not-found")]
    [InlineData(Inventories.Pf, 8, 400, "vf-count-out-of-range")]
    [InlineData(Inventories.Pf, -1, 400, "vf-count-out-of-range")]
    public async Task Wrong_vf_counts_are_refused(string address, int count, int status, string code)
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "counts");
        using var link = await agent.ComeUpAsync();
        await host.RefusedAsync(HttpMethod.Post, $"/api/v1/hosts/{agent.Id}/devices/{address}/vfs", new SetVfsRequest(count), status, code);
        Assert.Empty(await host.GetAsync<List<OperationDto>>($"/api/v1/operations?hostId={agent.Id}"));
    }

    [Fact]
    public async Task Vfs_that_a_vm_or_the_host_uses_are_not_taken_away()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "taken");
        using var link = await agent.ComeUpAsync(i => i.Devices[3].InUse = "carries the route to the control plane");
        await host.RefusedAsync(HttpMethod.Post, $"/api/v1/hosts/{agent.Id}/devices/{Inventories.Pf}/vfs", new SetVfsRequest(0), 409, "vf-in-use");
        await host.ChangeAsync("/api/v1/vms", Requests.Vm(agent.Id));
        var problem = await host.RefusedAsync(HttpMethod.Post, $"/api/v1/hosts/{agent.Id}/devices/{Inventories.Pf}/vfs", new SetVfsRequest(0), 409, "vf-owned");
        Assert.Contains(Inventories.Vf0, problem.GetProperty("detail").GetString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{\"name\": \"x\",\n  \"hostId\": }", "line 2, byte 13", "hostId")]
    [InlineData("{\"name\": \"x\"", "line 1", null)]
    [InlineData("{\"name\": 5}", "'name'", "name")]
    [InlineData("{\"name\": \"x\", \"nonsense\": 1}", "nonsense", "nonsense")]
    [InlineData("{\"vcpus\": \"1\"}", "'vcpus'", "vcpus")]
    [InlineData("{\"name\": \"x\", \"name\": \"y\"}", "name", null)]
    [InlineData("{\"name\": null}", "name", null)]
    [InlineData("{}", "name", null)]
    [InlineData("[]", "line 1", null)]
    [InlineData("", "", null)]
    public async Task Malformed_json_is_refused_with_its_place(string json, string words, string? field)
    {
        using var body = Json(json);
        var problem = await host.RefusedAsync(HttpMethod.Post, "/api/v1/vms", body, 400, json.Length == 0 ? "request-invalid" : "json-invalid");
        Assert.Contains(words, problem.GetProperty("detail").GetString(), StringComparison.Ordinal);
        if (field is not null)
            Assert.True(problem.GetProperty("errors").TryGetProperty(field, out _), $"{problem}");
    }

    [Fact]
    public async Task A_body_that_is_not_json_or_too_large_is_refused()
    {
        using var text = new StringContent("name=x", Encoding.UTF8, new MediaTypeHeaderValue("text/plain"));
        await host.RefusedAsync(HttpMethod.Post, "/api/v1/vms", text, 415, "media-type");
        using var large = Json($"{{\"name\": \"{new string('x', 2 << 20)}\"}}");
        await host.RefusedAsync(HttpMethod.Post, "/api/v1/vms", large, 413, "body-too-large");
    }

    [Theory]
    [InlineData("GET", "/api/v1/hosts/00000000-0000-0000-0000-000000000001", 404, "host-not-found")]
    [InlineData("GET", "/api/v1/hosts/00000000-0000-0000-0000-000000000001/devices", 404, "host-not-found")]
    [InlineData("GET", "/api/v1/vms/00000000-0000-0000-0000-000000000001", 404, "vm-not-found")]
    [InlineData("GET", "/api/v1/vms?hostId=00000000-0000-0000-0000-000000000001", 404, "host-not-found")]
    [InlineData("POST", "/api/v1/vms/00000000-0000-0000-0000-000000000001/actions/start", 404, "vm-not-found")]
    [InlineData("DELETE", "/api/v1/vms/00000000-0000-0000-0000-000000000001", 404, "vm-not-found")]
    [InlineData("GET", "/api/v1/vms/00000000-0000-0000-0000-000000000001/metrics", 404, "vm-not-found")]
    [InlineData("GET", "/api/v1/operations/00000000-0000-0000-0000-000000000001", 404, "operation-not-found")]
    [InlineData("POST", "/api/v1/operations/00000000-0000-0000-0000-000000000001/actions/cancel", 404, "operation-not-found")]
    [InlineData("DELETE", "/api/v1/tokens/00000000-0000-0000-0000-000000000001", 404, "api-token-not-found")]
    [InlineData("DELETE", "/api/v1/enrolment-tokens/00000000-0000-0000-0000-000000000001", 404, "enrolment-token-not-found")]
    [InlineData("GET", "/api/v1/operations?limit=0", 400, "limit-invalid")]
    [InlineData("GET", "/api/v1/events?limit=1001", 400, "limit-invalid")]
    [InlineData("GET", "/api/v1/vms?hostId=nonsense", 400, "request-invalid")]
    [InlineData("GET", "/api/v1/nonsense", 404, "not-found")]
    [InlineData("PUT", "/api/v1/vms", 405, "method-not-allowed")]
    public async Task Things_that_are_not_there_are_named(string method, string path, int status, string code) =>
        await host.RefusedAsync(new HttpMethod(method), path, null, status, code);

    [Fact]
    public async Task Wrong_tokens_to_make_are_refused()
    {
        await host.RefusedAsync(HttpMethod.Post, "/api/v1/enrolment-tokens", new CreateEnrolmentTokenRequest(new string('x', 101), 0), 400, "enrolment-token-invalid");
        await host.RefusedAsync(HttpMethod.Post, "/api/v1/tokens", new CreateApiTokenRequest(" "), 400, "api-token-invalid");
        using (var first = await host.PostAsync("/api/v1/tokens", new CreateApiTokenRequest("taken")))
            Assert.Equal(201, (int)first.StatusCode);
        await host.RefusedAsync(HttpMethod.Post, "/api/v1/tokens", new CreateApiTokenRequest("taken"), 409, "api-token-name-taken");
    }

    private static StringContent Json(string text) => new(text, Encoding.UTF8, new MediaTypeHeaderValue("application/json"));
}
