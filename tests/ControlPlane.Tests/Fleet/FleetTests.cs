using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Tests.Fixtures;
using Exitless.Simulator;
using Microsoft.Extensions.DependencyInjection;

namespace Exitless.ControlPlane.Tests.Fleet;

/// <summary>Lists and overview of a small simulated fleet: three hosts with two VMs each.</summary>
public sealed class FleetTests(FleetFixture fleet) : IClassFixture<FleetFixture>
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private IFleetLists Lists => fleet.Host.Services.GetRequiredService<IFleetLists>();

    [Fact]
    public async Task VMs_come_page_by_page_in_the_order_that_is_asked_for()
    {
        var all = await Lists.VmsAsync(new ListQuery(), Stop);
        Assert.Equal(6, all.Total);
        Assert.Equal(all.Items.Select(v => v.Name).Order(StringComparer.Ordinal), all.Items.Select(v => v.Name));
        var page = await Lists.VmsAsync(new ListQuery(Sort: "name", Descending: true, Offset: 2, Count: 3), Stop);
        Assert.Equal(6, page.Total);
        Assert.Equal(all.Items.Reverse().Skip(2).Take(3).Select(v => v.Id), page.Items.Select(v => v.Id));
        foreach (var sort in new[] { "name", "state", "host", "vcpus", "memory", "started", "created", "no-such-column" })
            Assert.Equal(6, (await Lists.VmsAsync(new ListQuery(Sort: sort), Stop)).Items.Count);
        Assert.Empty((await Lists.VmsAsync(new ListQuery(Offset: 6), Stop)).Items);
    }

    [Fact]
    public async Task A_search_takes_signs_as_they_are_and_filters_are_joined()
    {
        Assert.Equal(2, (await Lists.VmsAsync(new ListQuery("FLEET-0002"), Stop)).Total);
        Assert.Equal(0, (await Lists.VmsAsync(new ListQuery("%"), Stop)).Total);
        Assert.Equal(0, (await Lists.VmsAsync(new ListQuery("fleet_0002"), Stop)).Total);
        Assert.Equal(0, (await Lists.VmsAsync(new ListQuery("'; DROP TABLE vms; --"), Stop)).Total);
        var filters = new Dictionary<string, string>(StringComparer.Ordinal) { ["state"] = "running", ["host"] = fleet.Simulated.HostIds[0], ["unknown"] = "x" };
        Assert.Equal(2, (await Lists.VmsAsync(new ListQuery(Filters: filters), Stop)).Total);
        filters["link"] = "lost";
        Assert.Equal(0, (await Lists.VmsAsync(new ListQuery(Filters: filters), Stop)).Total);
    }

    [Fact]
    public async Task Hosts_devices_operations_events_and_findings_can_be_sorted_and_filtered_by_all_that_they_offer()
    {
        foreach (var sort in new[] { "name", "state", "cpus", "memory", "freeVfs", "vms", "kernel", "heard" })
            Assert.Equal(3, (await Lists.HostsAsync(new ListQuery(Sort: sort), Stop)).Items.Count);
        Assert.Equal(3, (await Lists.HostsAsync(By("state", "linked"), Stop)).Total);
        Assert.Equal(0, (await Lists.HostsAsync(By("state", "revoked"), Stop)).Total);

        foreach (var sort in new[] { "address", "host", "name", "driver", "numa", "use" })
            Assert.Equal(3 * (2 + 1 + 4), (await Lists.DevicesAsync(new ListQuery(Sort: sort), Stop)).Total);
        Assert.Equal(12, (await Lists.DevicesAsync(By("kind", "vf"), Stop)).Total);
        Assert.Equal(6, (await Lists.DevicesAsync(By("use", "owned"), Stop)).Total);
        var free = await Lists.DevicesAsync(By("use", "free"), Stop);
        Assert.Equal(6, free.Total);
        Assert.All(free.Items, d => Assert.True(d.Assignable));
        Assert.Equal(6, (await Lists.DevicesAsync(By("use", "in-use"), Stop)).Total);

        foreach (var sort in new[] { "begun", "state", "kind", "host", "by" })
            Assert.Equal(6, (await Lists.OperationsAsync(new ListQuery(Sort: sort), Stop)).Items.Count);
        Assert.Equal(6, (await Lists.OperationsAsync(By("kind", "createVm"), Stop)).Total);
        Assert.Equal(6, (await Lists.OperationsAsync(By("state", "done"), Stop)).Total);

        foreach (var sort in new[] { "time", "severity", "kind" })
            Assert.True((await Lists.EventsAsync(new ListQuery(Sort: sort), Stop)).Total > 6);
        Assert.Equal(3, (await Lists.EventsAsync(new ListQuery("host-enrolled"), Stop)).Total);
        Assert.Equal(0, (await Lists.EventsAsync(By("severity", "error"), Stop)).Total);

        var findings = await Lists.FindingsAsync(new ListQuery(), Stop);
        Assert.True(findings.Total >= 9);
        Assert.Equal(findings.Items.Select(f => f.Severity).OrderDescending(), findings.Items.Select(f => f.Severity));
        Assert.All((await Lists.FindingsAsync(By("severity", "ok"), Stop)).Items, f => Assert.Equal(FindingSeverity.Ok, f.Severity));
        foreach (var sort in new[] { "severity", "host", "id" })
            Assert.Equal(findings.Total, (await Lists.FindingsAsync(new ListQuery(Sort: sort), Stop)).Total);
    }

    [Fact]
    public async Task The_overview_adds_up()
    {
        var overview = await fleet.Host.Services.GetRequiredService<IFleetOverview>().GetAsync(hasty: true, Stop);
        Assert.Equal((3, 3), (overview.HostCount, overview.LinkedHosts));
        Assert.Equal(6, overview.Vms[VmState.Running]);
        Assert.Equal((12, 6), (overview.Vfs, overview.FreeVfs));
        Assert.Equal((3 * 8, 3L * 16 << 30), (overview.Cpus, overview.MemoryBytes));
        var vms = (await Lists.VmsAsync(new ListQuery(), Stop)).Items;
        Assert.Equal((vms.Sum(v => v.Vcpus), vms.Sum(v => (long)v.MemoryMib << 20)), (overview.RunningVcpus, overview.RunningMemoryBytes));
        Assert.Equal((await Lists.FindingsAsync(new ListQuery(), Stop)).Total, overview.Findings.Values.Sum());
        Assert.Equal(6, overview.LastDay.Single(e => e.Kind == "vm-created").Count);
        Assert.Equal(6, overview.MostExits.Count);
        Assert.Equal(overview.MostExits.Select(v => v.ExitsPerInterrupt).OrderDescending(), overview.MostExits.Select(v => v.ExitsPerInterrupt));
    }

    private static ListQuery By(string filter, string value) => new(Filters: new Dictionary<string, string>(StringComparer.Ordinal) { [filter] = value });
}

/// <summary>A control plane with three simulated hosts, whose six VMs run and have a stored row each.</summary>
public sealed class FleetFixture(TestPostgres postgres) : IAsyncLifetime
{
    private readonly TestHost _host = new(postgres);
    private SimulatedFleet? _fleet;

    internal TestHost Host => _host;

    internal SimulatedFleet Simulated => _fleet ?? throw new InvalidOperationException("Not started.");

    public async ValueTask InitializeAsync()
    {
        await _host.InitializeAsync();
        var options = new SimulatedFleetOptions(_host.Address, _host.Token, _host.Authority.Certificate, 3, new SimulatedShape(Pfs: 1, Vfs: 4, Cpus: 8, MemoryGib: 16, Vms: 2), Prefix: "fleet");
        _fleet = await SimulatedFleet.StartAsync(options, TimeProvider.System, CancellationToken.None);
        var stored = new HashSet<Guid>();
        var all = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        foreach (var host in _fleet.Hosts)
        {
            host.OnAcknowledged = (vm, _) =>
            {
                lock (stored)
                {
                    if (stored.Add(vm) && stored.Count == 6)
                        all.TrySetResult();
                }
            };
        }
        Assert.Equal(6, await _fleet.CreateVmsAsync(options, CancellationToken.None));
        await all.Task.WaitAsync(TestHost.Limit);
    }

    public async ValueTask DisposeAsync()
    {
        if (_fleet is not null)
            await _fleet.DisposeAsync();
        await _host.DisposeAsync();
    }
}
