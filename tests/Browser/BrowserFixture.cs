using Exitless.Lab;
using Exitless.Run.Stack;
using Microsoft.Playwright;

namespace Exitless.Browser;

/// <summary>A control plane, one lab host, and a headless Chromium that has not signed in.</summary>
public sealed class BrowserFixture : IAsyncLifetime
{
    private readonly string _folder = Directory.CreateTempSubdirectory("exitless-web-").FullName;
    private Chromium? _browser;

    public DemoStack Stack { get; private set; } = null!;

    public Guid HostId { get; private set; }

    /// <summary>Name of the lab host.</summary>
    public const string HostName = "browser";

    /// <summary>The first administrator's password, as the control plane showed it.</summary>
    public string Password => Stack.Server.FirstPassword ?? throw new InvalidOperationException("The control plane showed no first password.");

    /// <summary>Where screenshots go, for people to look at.</summary>
    public static string Pictures => Chromium.Pictures;

    public async ValueTask InitializeAsync()
    {
        var cancellation = TestContext.Current.CancellationToken;
        // The database runs as another user, who has to be able to enter.
        File.SetUnixFileMode(_folder, (UnixFileMode)0b111_101_101);
        var (https, agents) = ControlPlaneServer.FreePorts();
        Stack = await DemoStack.StartAsync(
            new DemoStackOptions(Checkout.At("artifacts"), Path.Combine(_folder, "data"), https, agents) { LabRunRoot = Path.Combine(_folder, "hosts") }, cancellation);
        (_, HostId) = await Stack.BootHostAsync(new LabHostOptions { Name = HostName }, cancellation);
        _browser = await Chromium.StartAsync();
    }

    /// <summary>A page whose user has signed in.</summary>
    public Task<IPage> SignedInAsync(int width = 1280, int height = 900, ColorScheme scheme = ColorScheme.Dark) =>
        _browser!.SignedInAsync(Stack.Server.Address, Password, width, height, scheme);

    public async ValueTask DisposeAsync()
    {
        if (_browser is not null)
            await _browser.DisposeAsync();
        if (Stack is not null)
            await Stack.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }
}
