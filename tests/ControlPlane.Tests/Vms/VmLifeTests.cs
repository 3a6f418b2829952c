using Exitless.Contracts;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Tests.Fixtures;
using VmState = Exitless.Contracts.VmState;

namespace Exitless.ControlPlane.Tests.Vms;

public sealed class VmLifeTests(TestHost host) : IClassFixture<TestHost>
{
    [Fact]
    public async Task A_vm_is_created_started_stopped_and_deleted()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "life");
        using var link = await agent.ComeUpAsync();
        var request = Requests.Vm(agent.Id);
        var create = await host.ChangeAsync("/api/v1/vms", request);
        Assert.Equal(OperationKind.CreateVm, create.Kind);
        var wanted = await link.WantedAsync(w => w.Vms.Count == 1);
        var vm = wanted.Vms[0];
        Assert.Equal((request.Name, 1u, 256u, "debian.vmlinuz", "demo.initrd", "console=ttyS0", WantedRun.Running), (vm.Name, vm.Vcpus, vm.MemoryMib, vm.Kernel, vm.Initrd, vm.CommandLine, vm.Run));
        Assert.Equal((Inventories.Vf0, "02:00:00:00:00:01"), (vm.Devices[0].Address, vm.Devices[0].Mac));

        await link.ReportAsync(wanted, VmState.Starting, v => v.Steps.Add(new Step { Name = "bind 0000:01:10.0 to vfio-pci", State = Contracts.StepState.Running, StartedAt = 1 }));
        await host.UntilAsync("the operation shows the step", async () => (await host.GetAsync<OperationDto>($"/api/v1/operations/{create.Id}")) is { State: OperationState.Running, Progress: "bind 0000:01:10.0 to vfio-pci." });
        await link.ReportAsync(wanted, VmState.Running);
        Assert.Equal(OperationState.Done, (await host.EndOfAsync(create)).State);
        var running = await host.GetAsync<VmDto>($"/api/v1/vms/{create.VmId}");
        Assert.Equal((Api.VmState.Running, 4242, null), (running.State, running.ProcessId, running.ActiveOperationId));
        var owned = (await host.GetAsync<List<DeviceDto>>($"/api/v1/devices?hostId={agent.Id}")).Single(d => d.Address == Inventories.Vf0);
        Assert.Equal((request.Name, false), (owned.Owner?.Name, owned.Assignable));

        var again = await host.ChangeAsync($"/api/v1/vms/{create.VmId}/actions/start");
        Assert.Equal(OperationState.Done, again.State);

        await host.RefusedAsync(HttpMethod.Delete, $"/api/v1/vms/{create.VmId}", null, 409, "vm-running");
        var stop = await host.ChangeAsync($"/api/v1/vms/{create.VmId}/actions/stop");
        wanted = await link.WantedAsync(w => w.Vms[0].Run == WantedRun.Stopped);
        await link.ReportAsync(wanted, VmState.Stopping);
        await link.ReportAsync(wanted, VmState.Stopped, v => v.EndReason = "power-off");
        Assert.Equal(OperationState.Done, (await host.EndOfAsync(stop)).State);
        Assert.Equal("power-off", (await host.GetAsync<VmDto>($"/api/v1/vms/{create.VmId}")).EndReason);

        using var deleted = await host.Http.DeleteAsync(new Uri($"/api/v1/vms/{create.VmId}", UriKind.Relative), TestContext.Current.CancellationToken);
        Assert.Equal(202, (int)deleted.StatusCode);
        wanted = await link.WantedAsync(w => w.Vms.Count == 0);
        await link.ReportAsync(wanted, VmState.Stopped);
        await host.UntilAsync("the VM is gone", async () => (await host.GetAsync<List<VmDto>>($"/api/v1/vms?hostId={agent.Id}")).Count == 0);
        Assert.True((await host.GetAsync<List<DeviceDto>>($"/api/v1/devices?hostId={agent.Id}")).Single(d => d.Address == Inventories.Vf0).Assignable);
        var kinds = (await host.GetAsync<List<OperationDto>>($"/api/v1/operations?vmId={create.VmId}")).Select(o => (o.Kind, o.State));
        Assert.Equal([(OperationKind.DeleteVm, OperationState.Done), (OperationKind.StopVm, OperationState.Done), (OperationKind.StartVm, OperationState.Done), (OperationKind.CreateVm, OperationState.Done)], kinds);
    }

    [Fact]
    public async Task A_failed_start_fails_the_operation_with_the_agents_words_and_can_be_tried_again()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "failing");
        using var link = await agent.ComeUpAsync();
        var create = await host.ChangeAsync("/api/v1/vms", Requests.Vm(agent.Id));
        var wanted = await link.WantedAsync(w => w.Vms.Count == 1);
        var generation = wanted.Vms[0].Generation;
        await link.ReportAsync(wanted, VmState.Failed, v => v.Problem = new Problem { Code = "memlock", Title = "Too little memory may be locked.", Detail = "64 KiB", Remedy = "Raise LimitMEMLOCK.", Field = "memoryMib" });
        var end = await host.EndOfAsync(create);
        Assert.Equal(OperationState.Failed, end.State);
        Assert.Equal(new ProblemDto("memlock", "Too little memory may be locked.", "64 KiB", "Raise LimitMEMLOCK.", "memoryMib"), end.Problem);
        Assert.Equal(end.Problem, (await host.GetAsync<VmDto>($"/api/v1/vms/{create.VmId}")).Problem);

        var retry = await host.ChangeAsync($"/api/v1/vms/{create.VmId}/actions/start");
        wanted = await link.WantedAsync(w => w.Vms[0].Generation > generation);
        await link.ReportAsync(wanted, VmState.Failed, v => v.Generation = generation);
        Assert.False((await host.GetAsync<OperationDto>($"/api/v1/operations/{retry.Id}?wait=1")).Finished);
        await link.ReportAsync(wanted, VmState.Running);
        Assert.Equal(OperationState.Done, (await host.EndOfAsync(retry)).State);
    }

    [Fact]
    public async Task A_vm_that_ends_while_it_starts_fails_the_start()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "ending");
        using var link = await agent.ComeUpAsync();
        var create = await host.ChangeAsync("/api/v1/vms", Requests.Vm(agent.Id));
        var wanted = await link.WantedAsync(w => w.Vms.Count == 1);
        await link.ReportAsync(wanted, VmState.Stopped);
        await link.ReportAsync(wanted, VmState.Starting);
        await link.ReportAsync(wanted, VmState.Stopped, v => v.EndReason = "triple-fault");
        var end = await host.EndOfAsync(create);
        Assert.Equal((OperationState.Failed, "vm-ended"), (end.State, end.Problem?.Code));
        Assert.Contains("triple-fault", end.Problem!.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_guest_that_powers_itself_off_is_not_wanted_running_any_more()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "poweroff");
        using var link = await agent.ComeUpAsync();
        var create = await host.ChangeAsync("/api/v1/vms", Requests.Vm(agent.Id));
        var wanted = await link.WantedAsync(w => w.Vms.Count == 1);
        await link.ReportAsync(wanted, VmState.Running);
        await host.EndOfAsync(create);
        await link.ReportAsync(wanted, VmState.Stopped, v => v.EndReason = "power-off");
        var now = await link.WantedAsync(w => w.Generation > wanted.Generation);
        Assert.Equal(WantedRun.Stopped, now.Vms[0].Run);
        Assert.Contains(await host.GetAsync<List<EventDto>>($"/api/v1/events?vmId={create.VmId}"), e => e is { Kind: "vm-ended", Severity: EventSeverity.Info });
    }

    [Fact]
    public async Task A_vm_that_crashes_stays_wanted_and_is_told_of()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "crashing");
        using var link = await agent.ComeUpAsync();
        var create = await host.ChangeAsync("/api/v1/vms", Requests.Vm(agent.Id));
        var wanted = await link.WantedAsync(w => w.Vms.Count == 1);
        await link.ReportAsync(wanted, VmState.Running);
        await host.EndOfAsync(create);
        await link.ReportAsync(wanted, VmState.Stopped, v => v.EndReason = "triple-fault");
        await host.UntilAsync("the crash is told of", async () => (await host.GetAsync<List<EventDto>>($"/api/v1/events?vmId={create.VmId}")).Any(e => e is { Kind: "vm-ended", Severity: EventSeverity.Error }));
        Assert.Equal(DesiredRun.Running, (await host.GetAsync<VmDto>($"/api/v1/vms/{create.VmId}")).Desired);
    }

    [Fact]
    public async Task A_host_that_started_anew_says_what_runs_before_anything_is_believed()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "reboot");
        var link = await agent.ComeUpAsync();
        var create = await host.ChangeAsync("/api/v1/vms", Requests.Vm(agent.Id));
        await link.ReportAsync(await link.WantedAsync(w => w.Vms.Count == 1), VmState.Running);
        await host.EndOfAsync(create);
        await link.HangUpAsync();
        var (second, _, wanted) = await agent.AttachWelcomedAsync(h => h.BootId = "boot-2");
        Assert.Equal(Api.VmState.Unknown, (await host.GetAsync<VmDto>($"/api/v1/vms/{create.VmId}")).State);
        Assert.Equal(WantedRun.Running, wanted.Vms[0].Run);
        second.Dispose();
    }

    [Fact]
    public async Task A_host_can_say_nothing_about_a_vm_of_another()
    {
        await using var mine = await ScriptedAgent.EnrolAsync(host, "mine");
        using var link = await mine.ComeUpAsync();
        var create = await host.ChangeAsync("/api/v1/vms", Requests.Vm(mine.Id));
        var wanted = await link.WantedAsync(w => w.Vms.Count == 1);
        await using var other = await ScriptedAgent.EnrolAsync(host, "intruder");
        using var intruder = await other.ComeUpAsync();
        await intruder.ReportAsync(wanted, VmState.Running);
        await intruder.SendAsync(new AgentMessage { Event = new AgentEvent { Kind = "done-reporting", Message = "x" } });
        await host.UntilAsync("the report is taken", async () => (await host.GetAsync<List<EventDto>>($"/api/v1/events?hostId={other.Id}")).Any(e => e.Kind == "done-reporting"));
        Assert.Equal(Api.VmState.Unknown, (await host.GetAsync<VmDto>($"/api/v1/vms/{create.VmId}")).State);
    }

    [Fact]
    public async Task Vfs_are_set_through_the_host_and_the_wish_is_dropped_when_it_cannot_be_had()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "vfs");
        using var link = await agent.ComeUpAsync();
        var set = await host.ChangeAsync($"/api/v1/hosts/{agent.Id}/devices/{Inventories.Pf}/vfs", new SetVfsRequest(4));
        var wanted = await link.WantedAsync(w => w.Pfs.Count == 1);
        Assert.Equal((Inventories.Pf, 4u), (wanted.Pfs[0].Address, wanted.Pfs[0].NumVfs));
        await host.RefusedAsync(HttpMethod.Post, $"/api/v1/hosts/{agent.Id}/devices/{Inventories.Pf}/vfs", new SetVfsRequest(2), 409, "operation-active");
        await host.RefusedAsync(HttpMethod.Post, "/api/v1/vms", Requests.Vm(agent.Id), 409, "vfs-changing");
        await link.SendAsync(Observed(wanted, new ObservedPf { Address = Inventories.Pf, Generation = wanted.Pfs[0].Generation, Converged = true }));
        Assert.Equal(OperationState.Done, (await host.EndOfAsync(set)).State);
        Assert.Equal(4, (await host.GetAsync<List<DeviceDto>>($"/api/v1/hosts/{agent.Id}/devices"))[1].WantedVfs);

        var more = await host.ChangeAsync($"/api/v1/hosts/{agent.Id}/devices/{Inventories.Pf}/vfs", new SetVfsRequest(7));
        wanted = await link.WantedAsync(w => w.Pfs[0].NumVfs == 7);
        await link.SendAsync(Observed(wanted, new ObservedPf { Address = Inventories.Pf, Generation = wanted.Pfs[0].Generation, Problem = new Problem { Code = "no-bus-numbers", Title = "The kernel has no bus numbers left." } }));
        var end = await host.EndOfAsync(more);
        Assert.Equal((OperationState.Failed, "no-bus-numbers"), (end.State, end.Problem?.Code));
        Assert.Equal(4u, (await link.WantedAsync(w => w.Generation > wanted.Generation)).Pfs[0].NumVfs);
        var pf = (await host.GetAsync<List<DeviceDto>>($"/api/v1/hosts/{agent.Id}/devices"))[1];
        Assert.Equal((4, "no-bus-numbers"), (pf.WantedVfs, pf.Problem?.Code));
    }

    private static AgentMessage Observed(WantedState wanted, ObservedPf pf) => new() { Observed = new ObservedState { Generation = wanted.Generation, Pfs = { pf } } };
}
