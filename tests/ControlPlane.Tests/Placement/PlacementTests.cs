using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Tests.Fixtures;
using Microsoft.Extensions.DependencyInjection;

namespace Exitless.ControlPlane.Tests.Placement;

/// <summary>What is planned from the database can be made as it was planned.</summary>
public sealed class PlacementTests(TestHost host) : IClassFixture<TestHost>
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task What_is_planned_can_be_made_until_nothing_is_left()
    {
        await using var full = await ScriptedAgent.EnrolAsync(host, "full");
        await using var gone = await ScriptedAgent.EnrolAsync(host, "gone");
        using var link = await full.ComeUpAsync();
        using (var lost = await gone.ComeUpAsync())
            await lost.HangUpAsync();
        var placement = host.Services.GetRequiredService<IPlacement>();
        var like = Requests.Vm(full.Id, start: false);
        var request = new PlacementRequest(like.Vcpus, like.MemoryMib, 1, like.Kernel, like.Initrd, OneNode: true, PlacementPolicy.Pack, 100);
        var made = new List<string>();
        while ((await placement.PlanAsync(request, Stop)) is { Chosen: { } chosen } plan)
        {
            Assert.Equal(full.Id, chosen.HostId);
            Assert.Equal("host-not-connected", plan.Hosts.Single(h => h.HostId == gone.Id).Code);
            var device = Assert.Single(chosen.Devices);
            Assert.DoesNotContain(device, made);
            await host.ChangeAsync("/api/v1/vms", Requests.Vm(chosen.HostId, start: false) with { Devices = [new VmDeviceRequest(device)] });
            made.Add(device);
        }
        Assert.True(made.Count >= 2, $"{made.Count} VFs");
        var none = await placement.PlanAsync(request, Stop);
        Assert.Equal("vfs-short", none.Hosts.Single(h => h.HostId == full.Id).Code);
        Assert.Equal((0, 2), (none.Fitting, none.Refused));
        Assert.Equal(full.Id, (await placement.PlanAsync(request with { Vfs = 0 }, Stop)).Chosen?.HostId);
        Assert.Equal("image-not-found", (await placement.PlanAsync(request with { Vfs = 0, Kernel = "none" }, Stop)).Hosts.Single(h => h.HostId == full.Id).Code);
        Assert.Single((await placement.PlanAsync(request with { Limit = 1 }, Stop)).Hosts);
    }

    [Fact]
    public async Task What_no_VM_can_have_is_refused_by_name()
    {
        var refusal = await Assert.ThrowsAsync<ProblemException>(() => host.Services.GetRequiredService<IPlacement>().PlanAsync(new PlacementRequest(0, 0, 65, null, null, false, PlacementPolicy.Spread, 0), Stop));
        Assert.Equal("placement-invalid", refusal.Code);
        Assert.Equal(["limit", "memoryMib", "vcpus", "vfs"], refusal.Errors!.Keys.Order(StringComparer.Ordinal));
    }
}
