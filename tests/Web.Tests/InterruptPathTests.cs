using Bunit;
using Exitless.ControlPlane.Api;
using Exitless.Web.Components.Pages;
using Exitless.Web.Components.Vms;
using Microsoft.AspNetCore.Components;
using Microsoft.Extensions.DependencyInjection;

namespace Exitless.Web.Tests;

/// <summary>The switch above the graph, and the map of where interrupts go.</summary>
public sealed class InterruptPathTests : DashboardContext
{
    private const string Vf = "0000:01:10.0";

    [Fact]
    public void The_switch_shows_where_it_stands_and_is_thrown_by_a_click()
    {
        var vm = Store.AddVm(Store.AddHost("h1"), "web", VmState.Running);
        var part = Show<PathSwitch>(p => p.Add(s => s.Vm, vm with { Switches = [new InterruptSwitch(InterruptPath.Injected, Vf, 1)] }));

        Assert.Equal("true", part.Find(Id("path-best-path")).GetAttribute("aria-pressed"));
        Assert.Contains("1 device or vector has a path of its own", part.Markup, StringComparison.Ordinal);
        part.Find(Id("path-injection")).Click();
        part.WaitForAssertion(() => Assert.Contains(Store.Asked, asked => asked.What == $"switch Injected {vm.Id}"));
        part.Find(Id("path-assisted")).Click();
        part.WaitForAssertion(() => Assert.Contains(Store.Asked, asked => asked.What == $"switch Assisted {vm.Id}"));
    }

    [Fact]
    public void The_switch_begins_where_the_policy_puts_it()
    {
        var vm = Store.AddVm(Store.AddHost("h1"), "web", VmState.Running);
        var part = Show<PathSwitch>(p => p.Add(s => s.Vm, vm with { Interrupts = InterruptPolicy.Injected }));

        Assert.Equal("true", part.Find(Id("path-injection")).GetAttribute("aria-pressed"));
    }

    [Fact]
    public void The_map_draws_each_interrupts_way_and_says_what_costs()
    {
        var vm = Store.AddVm(Store.AddHost("h1"), "web", VmState.Running);
        Store.Vms.Locality = new LocalityDto(
            [new VectorPlaceDto(Vf, 0, 41, [0, 1, 2], 0, false), new VectorPlaceDto(Vf, 1, 42, [4], 0, false), new VectorPlaceDto(Vf, 2, null, [], null, true)],
            [new VcpuPlaceDto(0, [4], [1])], [new DevicePlaceDto(Vf, 1)], [new MemoryPlaceDto(1, 1 << 28)],
            [new CrossingDto("own-cpu", Vf, 1, 0, "Vector 1 makes vCPU 0 exit.")]);
        Services.GetRequiredService<NavigationManager>().NavigateTo($"/vms/{vm.Id}?tab=locality");
        var page = Show<VmDetail>(p => p.Add(d => d.Id, vm.Id));

        var map = page.WaitForElement(Id("locality-map"));
        Assert.Equal([Vf, "vCPU 0", "vector 0", "CPU 0-2", "vector 1", "CPU 4", "vector 2"], map.QuerySelectorAll("text.name").Select(t => t.TextContent));
        Assert.Equal(7, map.QuerySelectorAll("path").Length);
        Assert.Single(map.QuerySelectorAll("path.costs"));
        Assert.Equal("1", map.QuerySelector("rect")!.GetAttribute("data-node"));
        Assert.Contains("Vector 1 makes vCPU 0 exit.", page.Find(Id("crossings")).TextContent, StringComparison.Ordinal);
        Assert.Contains("injected by the switch", map.TextContent, StringComparison.Ordinal);
    }

    [Fact]
    public void A_VM_of_which_nothing_is_known_says_when_something_will_be()
    {
        var vm = Store.AddVm(Store.AddHost("h1"), "web", VmState.Stopped);
        Services.GetRequiredService<NavigationManager>().NavigateTo($"/vms/{vm.Id}?tab=locality");

        Assert.Contains("every ten seconds", Show<VmDetail>(p => p.Add(d => d.Id, vm.Id)).WaitForElement(Id("locality-empty")).TextContent, StringComparison.Ordinal);
    }
}
