using Exitless.Contracts;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Tests.Fixtures;

namespace Exitless.ControlPlane.Tests.Link;

public sealed class ObservedVmTests(TestHost host) : IClassFixture<TestHost>
{
    [Fact]
    public async Task VMs_of_other_monitors_are_served_until_they_end_or_the_link_is_lost()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "observer");
        using var link = await agent.ComeUpAsync();
        Assert.Empty(await OfAsync(agent));
        await link.SendAsync(new AgentMessage { Foreign = Foreign(500, 412) });
        await host.UntilAsync("both are there", async () => (await OfAsync(agent)).Count == 2);
        var vm = (await OfAsync(agent))[0];
        Assert.Equal((412, "web", "/usr/bin/qemu", 2200.0, 1000.0, 2.2, (double?)null), (vm.ProcessId, vm.Name, vm.Command, vm.ExitsPerSecond, vm.InterruptsPerSecond, vm.ExitsPerInterrupt, vm.MarginalExitsPerInterrupt));
        Assert.Equal(new ObservedVectorDto("0000:01:10.0", 1, 1000, "injected"), Assert.Single(vm.Vectors));

        await link.SendAsync(new AgentMessage { Foreign = Foreign(412) });
        await host.UntilAsync("one has ended", async () => (await OfAsync(agent)) is [{ ProcessId: 412 }]);
        await link.HangUpAsync();
        Assert.Empty(await OfAsync(agent));
    }

    [Fact]
    public async Task Strange_figures_become_plain_ones()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "strange-observer");
        using var link = await agent.ComeUpAsync();
        var foreign = Foreign(412);
        (foreign.Vms[0].ExitsPerSecond, foreign.Vms[0].ExitsPerInterrupt, foreign.Vms[0].Name) = (double.NaN, double.PositiveInfinity, "a\0b");
        await link.SendAsync(new AgentMessage { Foreign = foreign });
        await host.UntilAsync("it is there", async () => (await OfAsync(agent)).Count == 1);
        var vm = (await OfAsync(agent))[0];
        Assert.Equal((0.0, 0.0, "a\ufffdb"), (vm.ExitsPerSecond, vm.ExitsPerInterrupt, vm.Name));
    }

    [Fact]
    public Task An_unknown_host_is_refused() => host.RefusedAsync(HttpMethod.Get, $"/api/v1/hosts/{Guid.CreateVersion7()}/observed-vms", null, 404, "host-not-found");

    private Task<IReadOnlyList<ObservedVmDto>> OfAsync(ScriptedAgent agent) => host.GetAsync<IReadOnlyList<ObservedVmDto>>($"/api/v1/hosts/{agent.Id}/observed-vms");

    private static ForeignVms Foreign(params uint[] processes)
    {
        var foreign = new ForeignVms();
        foreach (var process in processes)
        {
            var vm = new ForeignVm { ProcessId = process, Name = "web", Program = "/usr/bin/qemu", ExitsPerSecond = 2200, ExitsPerInterrupt = 2.2 };
            vm.Vectors.Add(new ForeignVector { Address = "0000:01:10.0", Vector = 1, InterruptsPerSecond = 1000, Grade = "injected" });
            foreign.Vms.Add(vm);
        }
        return foreign;
    }
}
