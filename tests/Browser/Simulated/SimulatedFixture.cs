using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using Exitless.Run.Stack;
using Exitless.Simulator;
using Microsoft.Playwright;

namespace Exitless.Browser.Simulated;

/// <summary>Tests that share one control plane with a simulated fleet; never beside the lab, for they would take each other's CPUs.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class SimulatedCollection : ICollectionFixture<SimulatedFixture>
{
    public const string Name = "simulated";
}

/// <summary>A control plane, four simulated hosts with three VMs each over the real link, and a headless Chromium.</summary>
public sealed class SimulatedFixture : IAsyncLifetime
{
    private readonly string _folder = Directory.CreateTempSubdirectory("exitless-web-").FullName;
    private Chromium? _browser;
    private SimulatedFleet? _fleet;
    private string? _password;

    public DemoStack Stack { get; private set; } = null!;

    public SimulatedFleet Fleet => _fleet ?? throw new InvalidOperationException("Not started.");

    public string Password => _password ?? throw new InvalidOperationException("The control plane showed no first password.");

    public async ValueTask InitializeAsync()
    {
        var stop = TestContext.Current.CancellationToken;
        // The database runs as another user, who has to be able to enter.
        File.SetUnixFileMode(_folder, (UnixFileMode)0b111_101_101);
        var (https, agents) = ControlPlaneServer.FreePorts();
        var data = Path.Combine(_folder, "data");
        Stack = await DemoStack.StartAsync(new DemoStackOptions(Checkout.At("artifacts"), data, https, agents), stop);
        _password = Stack.Server.FirstPassword;
        using var authority = X509CertificateLoader.LoadCertificateFromFile(Path.Combine(data, "authority.pem"));
        var options = new SimulatedFleetOptions(Stack.Server.Address, Stack.Rest.Token, authority, 4, new SimulatedShape(Vms: 3));
        _fleet = await SimulatedFleet.StartAsync(options, TimeProvider.System, stop);
        await _fleet.CreateVmsAsync(options, stop);
        await Eventually.HoldsAsync("all VMs run", TimeSpan.FromSeconds(60), async () => (await VmsAsync(stop)).All(vm => vm.GetProperty("state").GetString() == "running"), stop);
        _browser = await Chromium.StartAsync();
    }

    public async Task<IReadOnlyList<JsonElement>> VmsAsync(CancellationToken stop) => [.. (await Stack.Rest.GetAsync("api/v1/vms", stop)).EnumerateArray()];

    /// <summary>A page whose user has signed in.</summary>
    public Task<IPage> SignedInAsync(int width = 1280, int height = 900, ColorScheme scheme = ColorScheme.Dark) => _browser!.SignedInAsync(Stack.Server.Address, Password, width, height, scheme);

    /// <summary>A page of a browser that nobody has used.</summary>
    public Task<IPage> NewPageAsync(int width = 1280, int height = 900, ColorScheme scheme = ColorScheme.Dark) => _browser!.NewPageAsync(Stack.Server.Address, width, height, scheme);

    /// <summary>Closes what a test has opened.</summary>
    public async ValueTask CloseAllAsync() => await _browser!.CloseAllAsync();

    /// <summary>Keeps a screenshot for people to look at.</summary>
    public static Task KeepAsync(IPage page, string name) => page.ScreenshotAsync(new PageScreenshotOptions { Path = Path.Combine(Chromium.Pictures, $"{name}.png") });

    public async ValueTask DisposeAsync()
    {
        if (_browser is not null)
            await _browser.DisposeAsync();
        if (_fleet is not null)
            await _fleet.DisposeAsync();
        if (Stack is not null)
            await Stack.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }
}

/// <summary>Tests with a simulated fleet; each begins with no page open.</summary>
[Collection(SimulatedCollection.Name)]
public abstract class SimulatedTests(SimulatedFixture simulated) : IAsyncDisposable
{
    protected SimulatedFixture Simulated { get; } = simulated;

    public async ValueTask DisposeAsync()
    {
        await Simulated.CloseAllAsync();
        GC.SuppressFinalize(this);
    }
}
