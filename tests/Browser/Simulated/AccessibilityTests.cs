using System.Text.Json;
using Microsoft.Playwright;

namespace Exitless.Browser.Simulated;

/// <summary>axe-core on every page, dark and light, at a desk's width and a phone's: no violation.</summary>
public sealed class AccessibilityTests(SimulatedFixture simulated) : SimulatedTests(simulated)
{
    private static readonly string Axe = Checkout.At("web/node_modules/axe-core/axe.min.js");

    [Theory]
    [InlineData(ColorScheme.Dark, 1280, 900, "dark")]
    [InlineData(ColorScheme.Light, 1280, 900, "light")]
    [InlineData(ColorScheme.Dark, 390, 844, "phone-dark")]
    [InlineData(ColorScheme.Light, 390, 844, "phone-light")]
    public async Task No_page_violates_a_rule(ColorScheme scheme, int width, int height, string name)
    {
        var stop = TestContext.Current.CancellationToken;
        var vms = await Simulated.VmsAsync(stop);
        var (vm, other, host) = (vms[0].GetProperty("id").GetString(), vms[1].GetProperty("id").GetString(), vms[0].GetProperty("hostId").GetString());
        var operation = (await Simulated.Stack.Rest.GetAsync("api/v1/operations", stop))[0].GetProperty("id").GetString();
        (string Name, string Path, string Ready)[] pages =
        [
            ("overview", "/", "tile-hosts"), ("hosts", "/hosts", "host-link"), ("host", $"/hosts/{host}", "devices"), ("vms", "/vms", "vm-link"), ("devices", "/devices", "list-row"), ("findings", "/findings", "list-row"),
            ("operations", "/operations", "list-row"), ("operation", $"/operations/{operation}", "operation-state"), ("events", "/events", "list-row"), ("audit", "/audit", "list-row"), ("nothing", "/vms?q=nothing", "list-no-match"),
            ("vm-graphs", $"/vms/{vm}", "grade-verdict"), ("vm-console", $"/vms/{vm}?tab=console", "console-screen"), ("vm-locality", $"/vms/{vm}?tab=locality", "locality-map"), ("vm-spec", $"/vms/{vm}?tab=spec", "vm-state"),
            ("vm-events", $"/vms/{vm}?tab=events", "events"), ("vm-operations", $"/vms/{vm}?tab=operations", "operations"), ("compare", $"/compare?a={vm}&b={other}", "compare-ratio"), ("settings", "/settings", "make-api-token"),
            ("wall", "/wall", "wall-card"), ("create-vm", "/vms?create=true", "vm-name"), ("not-found", "/vms/none", "not-found"),
        ];
        var found = new List<string>();
        var login = await Simulated.NewPageAsync(width, height, scheme);
        await login.GotoAsync("/login");
        await LookAsync(login, "login", "login-submit");
        await login.CloseAsync();
        var page = await Simulated.SignedInAsync(width, height, scheme);
        foreach (var (what, path, ready) in pages)
        {
            await page.GotoAsync(path);
            await LookAsync(page, what, ready);
        }
        await page.Keyboard.PressAsync("Control+k");
        await LookAsync(page, "palette", "palette-item");
        Assert.True(found.Count == 0, string.Join('\n', found));

        async Task LookAsync(IPage at, string what, string ready)
        {
            await at.GetByTestId(ready).First.WaitForAsync();
            // Fades of dialogs and ripples are over; a colour half-way to another would be measured.
            await at.EvaluateAsync("() => Promise.all(document.getAnimations().filter(a => a.effect.getTiming().iterations !== Infinity).map(a => a.finished.catch(() => {})))");
            await SimulatedFixture.KeepAsync(at, $"{name}-{what}");
            await at.EvaluateAsync(await File.ReadAllTextAsync(Axe, stop));
            var result = await at.EvaluateAsync<JsonElement>("() => axe.run(document, { resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })");
            foreach (var violation in result.GetProperty("violations").EnumerateArray())
            {
                var nodes = violation.GetProperty("nodes").EnumerateArray().Take(4).Select(n => $"{n.GetProperty("target")[0]} {n.GetProperty("failureSummary").GetString()!.ReplaceLineEndings(" ")}");
                found.Add($"{what}: {violation.GetProperty("id").GetString()}: {string.Join(" | ", nodes)}");
            }
        }
    }
}
