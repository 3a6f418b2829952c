using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Tests.Fixtures;
using VmState = Exitless.Contracts.VmState;

namespace Exitless.ControlPlane.Tests.Vms;

/// <summary>The policy of a VM's interrupts and the switch: what reaches the host, how long it holds, and what is refused.</summary>
public sealed class InterruptPathTests(TestHost host) : IClassFixture<TestHost>
{
    private static InterruptSwitch Injected(string? device = null, int? vector = null) => new(InterruptPath.Injected, device, vector);

    [Fact]
    public async Task The_policy_and_the_switch_reach_the_host_and_a_new_run_begins_on_the_policys_path()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "switched");
        using var link = await agent.ComeUpAsync();
        var create = await host.ChangeAsync("/api/v1/vms", Requests.Vm(agent.Id) with { Interrupts = InterruptPolicy.Posted, GuestCounts = true });
        var wanted = await link.WantedAsync(w => w.Vms.Count == 1);
        Assert.Equal((Contracts.InterruptPolicy.Posted, true), (wanted.Vms[0].Interrupts, wanted.Vms[0].GuestCounts));
        var path = $"/api/v1/vms/{create.VmId}/actions/switch-interrupts";
        await link.ReportAsync(wanted, VmState.Running);
        await host.EndOfAsync(create);

        var one = await host.ChangeAsync(path, Injected(Inventories.Vf0, 1));
        Assert.Equal((OperationKind.SwitchInterrupts, Inventories.Vf0), (one.Kind, one.Device));
        wanted = await link.WantedAsync(w => w.Vms[0].Switches.Count == 1);
        Assert.Equal(new Contracts.InterruptSwitch { Address = Inventories.Vf0, Vector = 1, Injected = true }, wanted.Vms[0].Switches[0]);
        Assert.False((await host.GetAsync<OperationDto>($"/api/v1/operations/{one.Id}")).Finished);
        await host.RefusedAsync(HttpMethod.Post, path, System.Net.Http.Json.JsonContent.Create(new { path = "best" }), 409, "operation-active");
        await link.ReportAsync(wanted, VmState.Running);
        Assert.Equal(OperationState.Done, (await host.EndOfAsync(one)).State);

        // The whole device makes its one vector moot, and all of the VM makes that moot.
        var device = await host.ChangeAsync(path, Injected(Inventories.Vf0));
        await link.ReportAsync(await link.WantedAsync(w => w.Vms[0].Switches is [{ HasVector: false }]), VmState.Running);
        await host.EndOfAsync(device);
        var all = await host.ChangeAsync(path, new InterruptSwitch(InterruptPath.Best));
        wanted = await link.WantedAsync(w => w.Vms[0].Switches is [{ Address: "", Injected: false }]);
        await link.ReportAsync(wanted, VmState.Running);
        await host.EndOfAsync(all);
        Assert.Equal([new InterruptSwitch(InterruptPath.Best)], (await host.GetAsync<VmDto>($"/api/v1/vms/{create.VmId}")).Switches);

        await link.ReportAsync(wanted, VmState.Stopped, v => v.EndReason = "power-off");
        await host.UntilAsync("the end is known", async () => (await host.GetAsync<VmDto>($"/api/v1/vms/{create.VmId}")).State == Api.VmState.Stopped);
        await host.ChangeAsync($"/api/v1/vms/{create.VmId}/actions/start");
        wanted = await link.WantedAsync(w => w.Vms[0].Run == Contracts.WantedRun.Running && w.Vms[0].Switches.Count == 0);
        Assert.Equal(Contracts.InterruptPolicy.Posted, wanted.Vms[0].Interrupts);
    }

    [Fact]
    public async Task A_switch_that_makes_no_sense_is_refused_by_field_and_changes_nothing()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "unswitched");
        using var link = await agent.ComeUpAsync();
        var create = await host.ChangeAsync("/api/v1/vms", Requests.Vm(agent.Id));
        var path = $"/api/v1/vms/{create.VmId}/actions/switch-interrupts";
        await RefusedAsync(Injected(), 409, "vm-not-running", "");
        await link.ReportAsync(await link.WantedAsync(w => w.Vms.Count == 1), VmState.Running);
        await host.EndOfAsync(create);
        await RefusedAsync(Injected("0000:01:10.6"), 400, "device-not-assigned", "device");
        await RefusedAsync(Injected(null, 1), 400, "switch-invalid", "vector");
        await RefusedAsync(Injected(Inventories.Vf0, 2048), 400, "switch-invalid", "vector");
        Assert.Empty((await host.GetAsync<VmDto>($"/api/v1/vms/{create.VmId}")).Switches);
        Assert.Single(await host.GetAsync<List<OperationDto>>($"/api/v1/operations?vmId={create.VmId}"));

        async Task RefusedAsync(InterruptSwitch request, int status, string code, string field)
        {
            using var body = System.Net.Http.Json.JsonContent.Create(request, options: ControlPlane.Rest.JsonFormat.Options);
            var problem = await host.RefusedAsync(HttpMethod.Post, path, body, status, code);
            Assert.True(field.Length == 0 || problem.GetProperty("errors").TryGetProperty(field, out _), $"{problem}");
            Assert.False(string.IsNullOrEmpty(problem.GetProperty("remedy").GetString()), $"{problem}");
        }
    }

    [Fact]
    public async Task The_assisted_path_reaches_a_host_that_virtualizes_the_APIC_and_is_refused_for_one_that_does_not()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "assisted");
        using var link = await agent.ComeUpAsync();
        var create = await host.ChangeAsync("/api/v1/vms", Requests.Vm(agent.Id));
        var path = $"/api/v1/vms/{create.VmId}/actions/switch-interrupts";
        var wanted = await link.WantedAsync(w => w.Vms.Count == 1);
        await link.ReportAsync(wanted, VmState.Running);
        await host.EndOfAsync(create);

        await link.SendAsync(Apic("warning"));
        await host.UntilAsync("the report is there", async () => (await host.GetAsync<IReadOnlyList<FindingDto>>($"/api/v1/hosts/{agent.Id}/findings")).Count == 1);
        using var body = System.Net.Http.Json.JsonContent.Create(new { path = "assisted" });
        var problem = await host.RefusedAsync(HttpMethod.Post, path, body, 409, "interrupts-not-assisted");
        Assert.Contains("AVIC is off", problem.ToString(), StringComparison.Ordinal);
        Assert.Equal("kvm_amd avic=1", problem.GetProperty("remedy").GetString());

        await link.SendAsync(Apic("ok"));
        await host.UntilAsync("the report is there", async () => (await host.GetAsync<IReadOnlyList<FindingDto>>($"/api/v1/hosts/{agent.Id}/findings"))[0].Severity == FindingSeverity.Ok);
        await host.ChangeAsync(path, new InterruptSwitch(InterruptPath.Assisted, Inventories.Vf0, 1));
        wanted = await link.WantedAsync(w => w.Vms[0].Switches.Count == 1);
        Assert.Equal(new Contracts.InterruptSwitch { Address = Inventories.Vf0, Vector = 1, Injected = true, Assisted = true }, wanted.Vms[0].Switches[0]);
    }

    private static Contracts.AgentMessage Apic(string severity)
    {
        var report = new Contracts.DoctorReport();
        report.Findings.Add(new Contracts.Finding { Id = "avic", Severity = severity, Title = "AVIC is off", Remedy = "kvm_amd avic=1" });
        return new Contracts.AgentMessage { Report = report };
    }

    [Fact]
    public async Task A_switch_that_the_host_has_not_heard_of_can_be_taken_back()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "away");
        using var link = await agent.ComeUpAsync();
        var create = await host.ChangeAsync("/api/v1/vms", Requests.Vm(agent.Id));
        await link.ReportAsync(await link.WantedAsync(w => w.Vms.Count == 1), VmState.Running);
        await host.EndOfAsync(create);
        await link.HangUpAsync();
        await host.UntilAsync("the link is down", async () => !(await host.GetAsync<VmDto>($"/api/v1/vms/{create.VmId}")).HostConnected);
        var thrown = await host.ChangeAsync($"/api/v1/vms/{create.VmId}/actions/switch-interrupts", Injected());
        using var answer = await host.PostAsync($"/api/v1/operations/{thrown.Id}/actions/cancel", null);
        Assert.Equal(200, (int)answer.StatusCode);
        Assert.Equal(OperationState.Cancelled, (await host.GetAsync<OperationDto>($"/api/v1/operations/{thrown.Id}")).State);
        Assert.Empty((await host.GetAsync<VmDto>($"/api/v1/vms/{create.VmId}")).Switches);
    }
}
