using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Live;
using Exitless.ControlPlane.Tests.Fixtures;
using Exitless.Simulator;
using Microsoft.Extensions.DependencyInjection;

namespace Exitless.ControlPlane.Tests.Simulation;

/// <summary>Simulated hosts against a real control plane, over the real link.</summary>
public sealed class SimulatedFleetTests(TestHost host) : IClassFixture<TestHost>
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private SimulatedFleetOptions Options(string prefix, int hosts = 1, SimulatedShape? shape = null) =>
        new(host.Address, host.Token, host.Authority.Certificate, hosts, shape ?? new SimulatedShape(), Prefix: prefix);

    [Fact]
    public async Task A_simulated_host_enrols_shows_its_devices_runs_a_VM_and_sends_its_rows()
    {
        await using var fleet = await SimulatedFleet.StartAsync(Options("one"), TimeProvider.System, Stop);
        var committed = new TaskCompletionSource<Guid>(TaskCreationOptions.RunContinuationsAsynchronously);
        fleet.Hosts[0].OnAcknowledged = (vm, _) => committed.TrySetResult(vm);
        var hostId = Guid.Parse(fleet.HostIds[0]);
        await host.UntilAsync("the inventory is there", async () => (await host.GetAsync<HostDto>($"/api/v1/hosts/{hostId}")).Facts is not null);
        var seen = await host.GetAsync<HostDto>($"/api/v1/hosts/{hostId}");
        Assert.Equal("one-0001", seen.Name);
        Assert.True(seen.Connected);
        Assert.Contains("Simulated", seen.Facts!.CpuModel, StringComparison.Ordinal);
        Assert.Equal((64, 2, 16), (seen.Facts.OnlineCpus.Count, seen.Facts.NumaNodes.Count, seen.FreeVfCount));
        await host.UntilAsync("findings are there", async () => (await host.GetAsync<FindingDto[]>($"/api/v1/hosts/{hostId}/findings")).Length > 0);

        var vf = (await host.GetAsync<DeviceDto[]>($"/api/v1/hosts/{hostId}/devices")).First(d => d.Assignable);
        var created = await host.EndOfAsync(await host.ChangeAsync("/api/v1/vms", new CreateVmRequest("guest", hostId, "debian-12.vmlinuz", "debian-12.initrd", Vcpus: 2, Devices: [new VmDeviceRequest(vf.Address)], Start: true)));
        Assert.Equal(OperationState.Done, created.State);
        Assert.NotEmpty(created.Steps);
        var vm = await host.GetAsync<VmDto>($"/api/v1/vms/{created.VmId}");
        Assert.Equal(VmState.Running, vm.State);
        var locality = await host.GetAsync<LocalityDto>($"/api/v1/vms/{vm.Id}/locality");
        Assert.Equal(2, locality.Vcpus.Count);
        Assert.All(locality.Devices, d => Assert.Equal(vf.NumaNode, d.Node));

        Assert.Equal(vm.Id, await committed.Task.WaitAsync(TestHost.Limit, Stop));
        var metrics = await host.GetAsync<MetricsDto>($"/api/v1/vms/{vm.Id}/metrics?series=vfio.*&series=kvm.vcpu.1.exits");
        Assert.NotEmpty(metrics.Times);
        Assert.Contains(metrics.Series, s => s.Key == $"vfio.{vf.Address}.msix.1" && s.Values.All(v => v > 0));
    }

    [Fact]
    public async Task Rows_of_every_second_come_while_somebody_watches_and_counters_only_rise()
    {
        await using var fleet = await SimulatedFleet.StartAsync(Options("watched", shape: new SimulatedShape(Vms: 1)), TimeProvider.System, Stop);
        Assert.Equal(1, await fleet.CreateVmsAsync(Options("watched", shape: new SimulatedShape(Vms: 1)), Stop));
        var vm = (await host.GetAsync<VmDto[]>($"/api/v1/vms?hostId={fleet.HostIds[0]}"))[0];
        await host.UntilAsync("the VM runs", async () => (await host.GetAsync<VmDto>($"/api/v1/vms/{vm.Id}")).State == VmState.Running);
        Assert.Single(vm.Devices);

        using var viewer = host.Services.GetRequiredService<LiveStreams>().Watch(vm.Id, vm.HostId, TimeSpan.FromMinutes(1));
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(Stop);
        limit.CancelAfter(TestHost.Limit);
        var rows = 0;
        await foreach (var frame in viewer.FramesAsync(limit.Token))
        {
            rows += frame.Length > 0 ? 1 : 0;
            if (rows >= 6)
                break;
        }
        Assert.True(rows >= 6);
        Assert.True(fleet.Hosts[0].RowsSent >= 3);
    }

    [Fact]
    public async Task A_switch_is_followed_a_stop_is_obeyed_and_another_number_of_VFs_is_made()
    {
        await using var fleet = await SimulatedFleet.StartAsync(Options("changed", shape: new SimulatedShape(Pfs: 1, Vfs: 2, Vms: 1)), TimeProvider.System, Stop);
        await fleet.CreateVmsAsync(Options("changed", shape: new SimulatedShape(Pfs: 1, Vfs: 2, Vms: 1)), Stop);
        var hostId = fleet.HostIds[0];
        var vm = (await host.GetAsync<VmDto[]>($"/api/v1/vms?hostId={hostId}"))[0];
        await host.UntilAsync("the VM runs", async () => (await host.GetAsync<VmDto>($"/api/v1/vms/{vm.Id}")).State == VmState.Running);

        await host.EndOfAsync(await host.ChangeAsync($"/api/v1/vms/{vm.Id}/actions/switch-interrupts", new InterruptSwitch(InterruptPath.Injected)));
        Assert.All((await host.GetAsync<LocalityDto>($"/api/v1/vms/{vm.Id}/locality")).Vectors, v => Assert.True(v.Injected));
        Assert.Equal(OperationState.Done, (await host.EndOfAsync(await host.ChangeAsync($"/api/v1/vms/{vm.Id}/actions/stop"))).State);
        using (var answer = await host.Http.DeleteAsync(new Uri($"/api/v1/vms/{vm.Id}", UriKind.Relative), Stop))
            Assert.True(answer.IsSuccessStatusCode);
        await host.UntilAsync("the VM is gone", async () => (await host.GetAsync<VmDto[]>($"/api/v1/vms?hostId={hostId}")).Length == 0);

        var pf = (await host.GetAsync<DeviceDto[]>($"/api/v1/hosts/{hostId}/devices")).Single(d => d.Kind == DeviceKind.Pf);
        Assert.Equal(OperationState.Done, (await host.EndOfAsync(await host.ChangeAsync($"/api/v1/hosts/{hostId}/devices/{pf.Address}/vfs", new SetVfsRequest(40)))).State);
        Assert.Equal(40, (await host.GetAsync<HostDto>($"/api/v1/hosts/{hostId}")).VfCount);
    }

    [Fact]
    public async Task Many_hosts_share_a_process()
    {
        await using var fleet = await SimulatedFleet.StartAsync(Options("many", hosts: 30, new SimulatedShape(Pfs: 1, Vfs: 1, Cpus: 8, MemoryGib: 8)), TimeProvider.System, Stop);
        Assert.Equal(30, fleet.HostIds.Distinct(StringComparer.Ordinal).Count());
        await host.UntilAsync("all are linked", async () =>
            (await host.GetAsync<HostDto[]>("/api/v1/hosts")).Count(h => h is { Connected: true, Facts: not null } && h.Name.StartsWith("many-", StringComparison.Ordinal)) == 30);
    }

    [Fact]
    public void The_same_seed_gives_the_same_machine_and_a_shape_that_no_host_has_is_refused()
    {
        var shape = new SimulatedShape(Pfs: 3, Vfs: 20);
        Assert.Equal(new SimulatedHardware(7, shape).Inventory(), new SimulatedHardware(7, shape).Inventory());
        var addresses = new SimulatedHardware(7, shape).Inventory().Devices.Select(d => d.Address).ToList();
        Assert.Equal(2 + 3 + 60, addresses.Distinct(StringComparer.Ordinal).Count());
        Assert.Contains("64", Assert.Throws<ArgumentException>(() => new SimulatedShape(Vfs: 64).Check()).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => new SimulatedShape(NumaNodes: 3).Check());
    }

    [Fact]
    public void Counters_never_fall_and_tell_injection_from_posting()
    {
        var vm = new Contracts.WantedVm { VmId = Guid.CreateVersion7().ToString("D"), Vcpus = 2, MemoryMib = 512, Devices = { new Contracts.WantedDevice { Address = "0000:10:10.0" } } };
        var counters = new SimulatedCounters(3, 1, vm, SimulatedPath.Posted);
        counters.Switch(300, SimulatedPath.Injected);
        var before = counters.Row(0, 0).Values;
        for (var second = 1; second <= 600; second++)
        {
            var now = counters.Row(0, second).Values;
            for (var i = 0; i < now.Count; i++)
                Assert.True(counters.Schema.Series[i].Kind == Contracts.SeriesKind.Gauge || now[i] >= before[i], $"{counters.Schema.Series[i].Key} fell at {second} s");
            before = now;
        }
        var ratio = counters.Schema.Series.ToList().FindIndex(s => s.Key == "grade.exits_per_1000_interrupts");
        Assert.True(counters.Row(0, 290).Values[ratio] < 900);
        Assert.True(counters.Row(0, 590).Values[ratio] >= 1000);
    }
}
