using Microsoft.Playwright;

namespace Exitless.Browser.Simulated;

/// <summary>The pictures of the documentation, as scripts/screenshots makes them.</summary>
public sealed class PictureTests(SimulatedFixture simulated) : SimulatedTests(simulated)
{
    // A picture of nothing compresses to less.
    private const int LeastBytes = 20_000;

    [Theory]
    [InlineData("overview", "/", "tile-hosts", 1280, 800)]
    [InlineData("wall", "/wall?n=12", "wall-card", 1280, 800)]
    [InlineData("list", "/vms?state=running&sort=-memory", "vm-link", 1280, 560)]
    [InlineData("host", "/hosts/{host}", "devices", 1280, 1100)]
    [InlineData("compare", "/compare?a={vm}&b={other}", "compare-ratio", 1280, 900)]
    [InlineData("phone", "/", "tile-hosts", 390, 844)]
    public async Task Picture(string name, string path, string ready, int width, int height)
    {
        var vms = await Simulated.VmsAsync(TestContext.Current.CancellationToken);
        var address = path.Replace("{vm}", vms[0].GetProperty("id").GetString(), StringComparison.Ordinal).Replace("{other}", vms[6].GetProperty("id").GetString(), StringComparison.Ordinal)
            .Replace("{host}", vms[0].GetProperty("hostId").GetString(), StringComparison.Ordinal);
        var page = await Simulated.SignedInAsync(width, height, ColorScheme.Dark);
        await page.GotoAsync(address);
        await page.GetByTestId(ready).First.WaitForAsync();
        if (name == "wall")
            await Assertions.Expect(page.GetByTestId("wall-card").Nth(11)).Not.ToHaveAttributeAsync("data-rows", "0");
        if (name == "compare")
            await Assertions.Expect(page.Locator("[data-series] .legend-value").First).Not.ToHaveAttributeAsync("data-value", "");
        var file = Path.Combine(Directory.CreateDirectory(Path.Combine(Chromium.Pictures, "docs")).FullName, $"{name}.png");
        await page.ScreenshotAsync(new PageScreenshotOptions { Path = file });
        Assert.True(new FileInfo(file).Length > LeastBytes, $"{file} has {new FileInfo(file).Length} bytes");
    }
}
