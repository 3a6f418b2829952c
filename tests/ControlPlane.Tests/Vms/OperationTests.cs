using Exitless.Contracts;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Tests.Fixtures;
using VmState = Exitless.Contracts.VmState;

namespace Exitless.ControlPlane.Tests.Vms;

public sealed class OperationTests(TestHost host) : IClassFixture<TestHost>
{
    [Fact]
    public async Task While_the_host_is_away_an_operation_waits_and_says_so_and_begins_when_it_is_back()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "away");
        await (await agent.ComeUpAsync()).HangUpAsync();
        var create = await host.ChangeAsync("/api/v1/vms", Requests.Vm(agent.Id));
        Assert.Equal(OperationState.Waiting, create.State);
        Assert.Contains("away is not connected", create.WaitingFor, StringComparison.Ordinal);
        Assert.True(create.CanCancel);
        var (link, _, wanted) = await agent.AttachWelcomedAsync();
        Assert.Single(wanted.Vms);
        await link.ReportAsync(wanted, VmState.Running);
        Assert.Equal(OperationState.Done, (await host.EndOfAsync(create)).State);
        link.Dispose();
    }

    [Fact]
    public async Task A_creation_that_the_host_never_heard_of_is_cancelled_without_a_trace()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "cancel");
        await (await agent.ComeUpAsync()).HangUpAsync();
        var create = await host.ChangeAsync("/api/v1/vms", Requests.Vm(agent.Id));
        var cancelled = await CancelAsync(create);
        Assert.Equal((OperationState.Cancelled, "cancelled"), (cancelled.State, cancelled.Problem?.Code));
        await host.RefusedAsync(HttpMethod.Get, $"/api/v1/vms/{create.VmId}", null, 404, "vm-not-found");
        Assert.True((await host.GetAsync<List<DeviceDto>>($"/api/v1/devices?hostId={agent.Id}")).Single(d => d.Address == Inventories.Vf0).Assignable);
        await host.RefusedAsync(HttpMethod.Post, $"/api/v1/operations/{create.Id}/actions/cancel", null, 409, "operation-finished");
        var (link, _, wanted) = await agent.AttachWelcomedAsync();
        Assert.Empty(wanted.Vms);
        link.Dispose();
    }

    [Fact]
    public async Task A_creation_that_the_host_works_on_is_turned_round()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "turn");
        using var link = await agent.ComeUpAsync();
        var create = await host.ChangeAsync("/api/v1/vms", Requests.Vm(agent.Id));
        await link.ReportAsync(await link.WantedAsync(w => w.Vms.Count == 1), VmState.Starting);
        await CancelAsync(create);
        var wanted = await link.WantedAsync(w => w.Vms.Count == 0);
        await link.ReportAsync(wanted, VmState.Stopped);
        await host.UntilAsync("the VM is gone", async () => (await host.GetAsync<List<VmDto>>($"/api/v1/vms?hostId={agent.Id}")).Count == 0);
        Assert.Contains(await host.GetAsync<List<OperationDto>>($"/api/v1/operations?vmId={create.VmId}"), o => o is { Kind: OperationKind.DeleteVm, State: OperationState.Done });
    }

    [Fact]
    public async Task A_stop_that_the_host_knows_of_cannot_be_taken_back()
    {
        var (agent, link, create) = await RunningAsync("stopping");
        var stop = await host.ChangeAsync($"/api/v1/vms/{create.VmId}/actions/stop");
        await link.WantedAsync(w => w.Vms[0].Run == WantedRun.Stopped);
        await host.RefusedAsync(HttpMethod.Post, $"/api/v1/operations/{stop.Id}/actions/cancel", null, 409, "operation-under-way");
        await host.RefusedAsync(HttpMethod.Post, $"/api/v1/vms/{create.VmId}/actions/start", null, 409, "operation-active");
        var off = await host.ChangeAsync($"/api/v1/vms/{create.VmId}/actions/force-off");
        var superseded = await host.EndOfAsync(stop);
        Assert.Equal((OperationState.Cancelled, "superseded"), (superseded.State, superseded.Problem?.Code));
        await link.ReportAsync(await link.WantedAsync(w => w.Vms[0].Run == WantedRun.Off), VmState.Stopped, v => v.EndReason = "killed");
        Assert.Equal(OperationState.Done, (await host.EndOfAsync(off)).State);
        link.Dispose();
        await agent.DisposeAsync();
    }

    [Fact]
    public async Task A_stop_that_the_host_never_heard_of_is_taken_back()
    {
        var (agent, link, create) = await RunningAsync("unheard");
        await link.HangUpAsync();
        var stop = await host.ChangeAsync($"/api/v1/vms/{create.VmId}/actions/stop");
        await CancelAsync(stop);
        Assert.Equal(DesiredRun.Running, (await host.GetAsync<VmDto>($"/api/v1/vms/{create.VmId}")).Desired);
        await agent.DisposeAsync();
    }

    [Fact]
    public async Task What_a_lost_host_was_never_told_expires_and_is_taken_back()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "expired");
        await (await agent.ComeUpAsync()).HangUpAsync();
        var create = await host.ChangeAsync("/api/v1/vms", Requests.Vm(agent.Id));
        host.Clock.Advance(TimeSpan.FromMinutes(11));
        var end = await host.EndOfAsync(create);
        Assert.Equal((OperationState.Failed, "host-not-connected"), (end.State, end.Problem?.Code));
        await host.RefusedAsync(HttpMethod.Get, $"/api/v1/vms/{create.VmId}", null, 404, "vm-not-found");
    }

    [Fact]
    public async Task What_a_host_never_finishes_expires_with_its_last_step()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "slow");
        using var link = await agent.ComeUpAsync();
        var create = await host.ChangeAsync("/api/v1/vms", Requests.Vm(agent.Id));
        await link.ReportAsync(await link.WantedAsync(w => w.Vms.Count == 1), VmState.Starting, v => v.Steps.Add(new Step { Name = "map memory", State = Contracts.StepState.Running, StartedAt = 1 }));
        await host.UntilAsync("the step shows", async () => (await host.GetAsync<OperationDto>($"/api/v1/operations/{create.Id}")).Steps.Count == 1);
        host.Clock.Advance(TimeSpan.FromMinutes(11));
        var end = await host.EndOfAsync(create);
        Assert.Equal((OperationState.Failed, "operation-expired"), (end.State, end.Problem?.Code));
        Assert.Contains("map memory", end.Problem!.Detail, StringComparison.Ordinal);
        Assert.Equal(DesiredRun.Running, (await host.GetAsync<VmDto>($"/api/v1/vms/{create.VmId}")).Desired);
    }

    [Fact]
    public async Task Vms_of_a_revoked_host_can_be_deleted_and_nothing_else()
    {
        var (agent, link, create) = await RunningAsync("lost");
        using (var answer = await host.PostAsync($"/api/v1/hosts/{agent.Id}/actions/revoke", null))
            Assert.True(answer.IsSuccessStatusCode);
        await link.EndAsync();
        await host.RefusedAsync(HttpMethod.Post, $"/api/v1/vms/{create.VmId}/actions/stop", null, 409, "host-revoked");
        await host.RefusedAsync(HttpMethod.Post, "/api/v1/vms", Requests.Vm(agent.Id, Inventories.Vf1), 409, "host-revoked");
        await host.RefusedAsync(HttpMethod.Post, $"/api/v1/hosts/{agent.Id}/devices/{Inventories.Pf}/vfs", new SetVfsRequest(1), 409, "host-revoked");
        using var deleted = await host.Http.DeleteAsync(new Uri($"/api/v1/vms/{create.VmId}", UriKind.Relative), TestContext.Current.CancellationToken);
        Assert.Equal(202, (int)deleted.StatusCode);
        await host.RefusedAsync(HttpMethod.Get, $"/api/v1/vms/{create.VmId}", null, 404, "vm-not-found");
        await agent.DisposeAsync();
    }

    [Fact]
    public async Task A_request_can_wait_for_the_end()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "waiting");
        using var link = await agent.ComeUpAsync();
        var creating = host.ChangeAsync("/api/v1/vms?wait=30", Requests.Vm(agent.Id));
        await link.ReportAsync(await link.WantedAsync(w => w.Vms.Count == 1), VmState.Running);
        var create = await creating;
        Assert.Equal(OperationState.Done, create.State);
        using var request = new HttpRequestMessage(HttpMethod.Post, $"/api/v1/vms/{create.VmId}/actions/stop");
        request.Headers.Add("Prefer", "respond-async, wait=30");
        var stopping = host.Http.SendAsync(request, TestContext.Current.CancellationToken);
        await link.ReportAsync(await link.WantedAsync(w => w.Vms[0].Run == WantedRun.Stopped), VmState.Stopped);
        using var answer = await stopping;
        Assert.Equal(["wait=30"], answer.Headers.GetValues("Preference-Applied"));
        Assert.Contains("\"state\":\"done\"", await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
        await host.RefusedAsync(HttpMethod.Post, $"/api/v1/vms/{create.VmId}/actions/start?wait=9999", null, 400, "wait-invalid");
        Assert.Equal(DesiredRun.Stopped, (await host.GetAsync<VmDto>($"/api/v1/vms/{create.VmId}")).Desired);
    }

    private async Task<(ScriptedAgent Agent, ScriptedLink Link, OperationDto Create)> RunningAsync(string name)
    {
        var agent = await ScriptedAgent.EnrolAsync(host, name);
        var link = await agent.ComeUpAsync();
        var create = await host.ChangeAsync("/api/v1/vms", Requests.Vm(agent.Id));
        await link.ReportAsync(await link.WantedAsync(w => w.Vms.Count == 1), VmState.Running);
        Assert.Equal(OperationState.Done, (await host.EndOfAsync(create)).State);
        return (agent, link, create);
    }

    private async Task<OperationDto> CancelAsync(OperationDto operation)
    {
        using var answer = await host.PostAsync($"/api/v1/operations/{operation.Id}/actions/cancel", null);
        Assert.True(answer.IsSuccessStatusCode, await answer.Content.ReadAsStringAsync());
        return await host.EndOfAsync(operation);
    }
}
