using System.Globalization;
using Exitless.Run.Stack;
using Microsoft.Playwright;

namespace Exitless.Browser;

/// <summary>What a person sees: from signing in to a VM whose interrupts rise on the live graph.</summary>
public sealed class FirstVmTests(BrowserFixture browser) : IClassFixture<BrowserFixture>
{
    private static readonly TimeSpan GuestLimit = TimeSpan.FromMinutes(4);

    [Fact]
    public async Task A_person_signs_in_creates_a_VM_and_watches_its_interrupts_and_its_console()
    {
        var page = await browser.SignedInAsync();
        await page.GetByTestId("host-link").Filter(new LocatorFilterOptions { HasText = BrowserFixture.HostName }).ClickAsync();

        // VFs, through the PF's own dialog.
        await page.Locator("[data-testid^='set-vfs-']").First.ClickAsync();
        await page.GetByTestId("vf-count").FillAsync("2");
        await page.GetByTestId("submit").ClickAsync();
        await page.Locator("[data-testid^='device-']", new PageLocatorOptions { HasText = "VF" }).First.WaitForAsync(new LocatorWaitForOptions { Timeout = 90_000 });
        await DemoVm.FreeVfAsync(browser.Stack.Rest, browser.HostId, TestContext.Current.CancellationToken);
        await page.ScreenshotAsync(new PageScreenshotOptions { Path = Path.Combine(BrowserFixture.Pictures, "host.png") });

        // The VM, with one of them.
        await page.GotoAsync("/vms");
        await page.GetByTestId("create-vm").ClickAsync();
        await page.GetByTestId("vm-name").FillAsync("first");
        await page.GetByTestId("vm-memory").FillAsync("256");
        await page.GetByTestId("vm-command-line").FillAsync(new DemoVmOptions { Rate = 5 }.CommandLine);
        await page.GetByTestId("vf-picker").Locator("input[type=checkbox]:not([disabled])").First.CheckAsync();
        await page.ScreenshotAsync(new PageScreenshotOptions { Path = Path.Combine(BrowserFixture.Pictures, "create-vm.png") });
        await page.GetByTestId("submit").ClickAsync();
        await page.GetByTestId("vm-link").Filter(new LocatorFilterOptions { HasText = "first" }).Or(page.GetByTestId("vm-title")).First.WaitForAsync();
        if (await page.GetByTestId("vm-title").CountAsync() == 0)
            await page.GetByTestId("vm-link").Filter(new LocatorFilterOptions { HasText = "first" }).ClickAsync();
        await Assertions.Expect(page.GetByTestId("vm-state")).ToContainTextAsync("unning", new LocatorAssertionsToContainTextOptions { Timeout = 180_000 });

        // Text off the console.
        await page.GetByTestId("tab-console").ClickAsync();
        await Assertions.Expect(page.GetByTestId("console-screen")).ToContainTextAsync("exitless: ping", new LocatorAssertionsToContainTextOptions { Timeout = (float)GuestLimit.TotalMilliseconds });
        await page.ScreenshotAsync(new PageScreenshotOptions { Path = Path.Combine(BrowserFixture.Pictures, "console.png") });

        // Rising numbers off the live graphs: rates above zero, and the counters behind them.
        await page.GetByTestId("tab-graphs").ClickAsync();
        await PositiveAsync(page.GetByTestId("interrupts-per-second"));
        await PositiveAsync(page.GetByTestId("exits-per-second"));
        await page.GetByTestId("all-statistics").Locator("summary").ClickAsync();
        await RisesAsync(page, "kvm.vcpu.0.exits");
        await RisesAsync(page, ".msix.1");
        await Assertions.Expect(page.GetByTestId("grade-verdict")).ToContainTextAsync("xit", new LocatorAssertionsToContainTextOptions { Timeout = 60_000 });
        await page.GetByTestId("grades").ScreenshotAsync(new LocatorScreenshotOptions { Path = Path.Combine(BrowserFixture.Pictures, "grades.png") });
        await page.Locator("[data-minutes='1']").ClickAsync();
        await page.EvaluateAsync("scrollTo(0, 0)");
        await page.ScreenshotAsync(new PageScreenshotOptions { Path = Path.Combine(BrowserFixture.Pictures, "vm.png") });

        // The switch, thrown where the graph runs; and the way of the interrupts.
        await page.GetByTestId("path-injection").ClickAsync();
        await Assertions.Expect(page.GetByTestId("path-injection")).ToHaveAttributeAsync("aria-pressed", "true", new LocatorAssertionsToHaveAttributeOptions { Timeout = 60_000 });
        await page.GetByTestId("tab-locality").ClickAsync();
        var map = page.GetByTestId("locality-map");
        await Assertions.Expect(map).ToContainTextAsync("injected by the switch", new LocatorAssertionsToContainTextOptions { Timeout = 60_000 });
        await Assertions.Expect(map).ToContainTextAsync("vCPU 0");
        await page.ScreenshotAsync(new PageScreenshotOptions { Path = Path.Combine(BrowserFixture.Pictures, "locality.png") });
    }

    // A row of the table under the graphs: name, value, rate.
    private static async Task RisesAsync(IPage page, string series)
    {
        var value = page.GetByTestId("all-statistics").Locator("tr", new LocatorLocatorOptions { HasText = series }).First.Locator("td").Nth(1);
        var first = await PositiveAsync(value);
        await Eventually.HoldsAsync($"{series} on the page rises above {first}", TimeSpan.FromSeconds(60),
            async () => await NumberAsync(value) > first, TestContext.Current.CancellationToken);
    }

    private static async Task<double> PositiveAsync(ILocator shown)
    {
        double? value = null;
        await Eventually.HoldsAsync($"a number above zero in {shown}", TimeSpan.FromSeconds(60),
            async () => (value = await NumberAsync(shown)) > 0, TestContext.Current.CancellationToken);
        return value!.Value;
    }

    private static async Task<double?> NumberAsync(ILocator shown)
    {
        // Thousands are set apart by narrow spaces; a unit may follow.
        var digits = (await shown.InnerTextAsync()).Where(one => one is not ('\u202f' or ','))
            .TakeWhile(one => char.IsAsciiDigit(one) || one is '.').ToArray();
        return double.TryParse(digits, CultureInfo.InvariantCulture, out var value) ? value : null;
    }
}
