using Exitless.Browser;
using Exitless.Lab;
using Exitless.Run.Stack;
using Microsoft.Playwright;

[assembly: AssemblyFixture(typeof(BrowserFixture))]

namespace Exitless.Browser;

/// <summary>A control plane, one lab host, and a headless Chromium that has not signed in.</summary>
public sealed class BrowserFixture : IAsyncLifetime
{
    private const string Chromium = "/usr/bin/chromium";
    private readonly string _folder = Directory.CreateTempSubdirectory("exitless-web-").FullName;
    private IPlaywright? _playwright;
    private IBrowser? _browser;

    public DemoStack Stack { get; private set; } = null!;

    public Guid HostId { get; private set; }

    /// <summary>Name of the lab host.</summary>
    public const string HostName = "browser";

    /// <summary>The first administrator's password, as the control plane showed it.</summary>
    public string Password => Stack.Server.FirstPassword ?? throw new InvalidOperationException("The control plane showed no first password.");

    /// <summary>Where screenshots go, for people to look at.</summary>
    public static string Pictures => Directory.CreateDirectory(Path.Combine(Artifacts, "screenshots")).FullName;

    private static string Artifacts => Checkout.At("artifacts");

    public async ValueTask InitializeAsync()
    {
        var cancellation = TestContext.Current.CancellationToken;
        // The database runs as another user, who has to be able to enter.
        File.SetUnixFileMode(_folder, (UnixFileMode)0b111_101_101);
        var (https, agents) = ControlPlaneServer.FreePorts();
        Stack = await DemoStack.StartAsync(
            new DemoStackOptions(Artifacts, Path.Combine(_folder, "data"), https, agents) { LabRunRoot = Path.Combine(_folder, "hosts") }, cancellation);
        (_, HostId) = await Stack.BootHostAsync(new LabHostOptions { Name = HostName }, cancellation);
        _playwright = await Playwright.CreateAsync();
        _browser = await _playwright.Chromium.LaunchAsync(new BrowserTypeLaunchOptions
        {
            ExecutablePath = Chromium,
            Args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
        });
    }

    /// <summary>A page of a browser that nobody has used.</summary>
    public async Task<IPage> NewPageAsync(int width = 1280, int height = 900, ColorScheme scheme = ColorScheme.Dark)
    {
        var context = await _browser!.NewContextAsync(new BrowserNewContextOptions
        {
            BaseURL = Stack.Server.Address.ToString(),
            // The control plane's CA is its own; the browser of a person is told to trust it once.
            IgnoreHTTPSErrors = true,
            ViewportSize = new ViewportSize { Width = width, Height = height },
            ColorScheme = scheme,
        });
        context.SetDefaultTimeout(30_000);
        return await context.NewPageAsync();
    }

    /// <summary>A page whose user has signed in.</summary>
    public async Task<IPage> SignedInAsync(int width = 1280, int height = 900, ColorScheme scheme = ColorScheme.Dark)
    {
        var page = await NewPageAsync(width, height, scheme);
        await page.GotoAsync("/hosts");
        await page.GetByTestId("login-user").FillAsync("admin");
        await page.GetByTestId("login-password").FillAsync(Password);
        await page.GetByTestId("login-submit").ClickAsync();
        await page.GetByTestId("user-menu").WaitForAsync();
        return page;
    }

    public async ValueTask DisposeAsync()
    {
        if (_browser is not null)
            await _browser.DisposeAsync();
        _playwright?.Dispose();
        if (Stack is not null)
            await Stack.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }
}
