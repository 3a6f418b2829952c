using Microsoft.Playwright;

namespace Exitless.Browser;

/// <summary>A headless Chromium, and people who use it.</summary>
public sealed class Chromium : IAsyncDisposable
{
    private const string Program = "/usr/bin/chromium";
    private readonly IPlaywright _playwright;
    private readonly IBrowser _browser;

    private Chromium(IPlaywright playwright, IBrowser browser) => (_playwright, _browser) = (playwright, browser);

    /// <summary>Where screenshots go, for people to look at.</summary>
    public static string Pictures => Directory.CreateDirectory(Path.Combine(Checkout.At("artifacts"), "screenshots")).FullName;

    public static async Task<Chromium> StartAsync()
    {
        // The machine may have few CPUs, and the control plane, its database and the hosts are on it too.
        Assertions.SetDefaultExpectTimeout(30_000);
        var playwright = await Playwright.CreateAsync();
        var browser = await playwright.Chromium.LaunchAsync(new BrowserTypeLaunchOptions
        {
            ExecutablePath = Program,
            Args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
        });
        return new Chromium(playwright, browser);
    }

    /// <summary>A page of a browser that nobody has used.</summary>
    public async Task<IPage> NewPageAsync(Uri address, int width = 1280, int height = 900, ColorScheme scheme = ColorScheme.Dark)
    {
        var context = await _browser.NewContextAsync(new BrowserNewContextOptions
        {
            BaseURL = address.ToString(),
            // The control plane's CA is its own; the browser of a person is told to trust it once.
            IgnoreHTTPSErrors = true,
            ViewportSize = new ViewportSize { Width = width, Height = height },
            ColorScheme = scheme,
        });
        context.SetDefaultTimeout(30_000);
        return await context.NewPageAsync();
    }

    /// <summary>A page whose user has signed in.</summary>
    public async Task<IPage> SignedInAsync(Uri address, string password, int width = 1280, int height = 900, ColorScheme scheme = ColorScheme.Dark)
    {
        var page = await NewPageAsync(address, width, height, scheme);
        await SignInAsync(page, "admin", password);
        return page;
    }

    /// <summary>Signs a page's user in.</summary>
    public static async Task SignInAsync(IPage page, string name, string password)
    {
        await page.GotoAsync("/hosts");
        await page.GetByTestId("login-user").FillAsync(name);
        await page.GetByTestId("login-password").FillAsync(password);
        await page.GetByTestId("login-submit").ClickAsync();
        await page.GetByTestId("user-menu").WaitForAsync();
    }

    /// <summary>Closes every page that was opened: graphs that nobody looks at any more still draw.</summary>
    public async Task CloseAllAsync()
    {
        foreach (var context in _browser.Contexts.ToList())
            await context.CloseAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await _browser.DisposeAsync();
        _playwright.Dispose();
    }
}
