using System.Diagnostics;
using Microsoft.Playwright;

namespace Exitless.Browser.Simulated;

/// <summary>What open tabs do when their link to the control plane goes.</summary>
public sealed class LostLinkTests(SimulatedFixture simulated) : SimulatedTests(simulated)
{
    private static readonly TimeSpan LiveAgain = TimeSpan.FromSeconds(10);

    [Fact]
    public async Task Charts_go_on_when_only_the_circuit_has_dropped()
    {
        var stop = TestContext.Current.CancellationToken;
        var vm = (await Simulated.VmsAsync(stop))[0].GetProperty("id").GetString();
        var page = await Simulated.SignedInAsync();
        IWebSocketRoute? circuit = null;
        await page.RouteWebSocketAsync("**/_blazor**", socket =>
        {
            socket.ConnectToServer();
            circuit = socket;
        });
        await page.GotoAsync($"/vms/{vm}");
        var staleness = page.GetByTestId("graph-staleness");
        await Assertions.Expect(staleness).ToHaveAttributeAsync("data-state", "live");

        await page.RouteAsync("**/_blazor**", route => route.AbortAsync());
        await circuit!.CloseAsync();
        await Assertions.Expect(page.GetByTestId("lost-link")).ToBeVisibleAsync();
        await page.GetByTestId("all-statistics").Locator("summary").ClickAsync();
        var exits = page.GetByTestId("all-statistics").Locator("tr", new LocatorLocatorOptions { HasText = "kvm.vcpu.0.exits" }).First.Locator("td").Nth(1);
        var before = await exits.InnerTextAsync();
        // Six samples later the panel is as live as before, and the banner still there.
        for (var i = 0; i < 6; i++)
        {
            await Assertions.Expect(exits).Not.ToHaveTextAsync(before);
            before = await exits.InnerTextAsync();
        }
        await Assertions.Expect(staleness).ToHaveAttributeAsync("data-state", "live");
        await Assertions.Expect(page.GetByTestId("lost-link")).ToBeVisibleAsync();
        await SimulatedFixture.KeepAsync(page, "lost-link");

        await page.UnrouteAsync("**/_blazor**");
        await Assertions.Expect(page.GetByTestId("lost-link")).ToBeHiddenAsync(new LocatorAssertionsToBeHiddenOptions { Timeout = 10_000 });
        await page.GetByTestId("tab-spec").ClickAsync();
        await Assertions.Expect(page.GetByTestId("tab-spec")).ToHaveAttributeAsync("aria-current", "page");
    }

    [Fact]
    public async Task Every_tab_is_live_again_within_ten_seconds_of_a_restart_without_a_reload_by_hand()
    {
        var stop = TestContext.Current.CancellationToken;
        var vm = (await Simulated.VmsAsync(stop))[0].GetProperty("id").GetString();
        var list = await Simulated.SignedInAsync();
        await list.GotoAsync("/vms?sort=-name");
        await list.GetByTestId("vm-link").First.WaitForAsync();
        var graphs = await list.Context.NewPageAsync();
        await graphs.GotoAsync($"/vms/{vm}");
        await Assertions.Expect(graphs.GetByTestId("graph-staleness")).ToHaveAttributeAsync("data-state", "live");
        foreach (var tab in new[] { list, graphs })
            await tab.EvaluateAsync("() => { window.openedBefore = true; }");

        await Simulated.Stack.Server.KillAsync();
        await Assertions.Expect(list.GetByTestId("lost-link")).ToBeVisibleAsync();
        await Simulated.Stack.RestartControlPlaneAsync(stop);
        var up = Stopwatch.GetTimestamp();

        // Live: a new circuit that answers to what is typed, on the same address; graphs with a sample of now.
        foreach (var tab in new[] { list, graphs })
            await tab.WaitForFunctionAsync("() => window.openedBefore === undefined", null, new PageWaitForFunctionOptions { Timeout = 15_000 });
        await list.GetByTestId("list-search").FillAsync("sim-0002");
        await Assertions.Expect(list.GetByTestId("list-count")).ToHaveTextAsync("3 VMs");
        Assert.Contains("sort=-name", list.Url, StringComparison.Ordinal);
        await Assertions.Expect(graphs.GetByTestId("graph-staleness")).ToHaveAttributeAsync("data-state", "live");
        var took = Stopwatch.GetElapsedTime(up);
        Assert.True(took <= LiveAgain, $"The tabs were live again {took.TotalSeconds:0.0} s after the control plane was ready.");
    }
}
