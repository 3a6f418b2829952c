using System.Globalization;
using System.Security.Cryptography.X509Certificates;
using Exitless.Browser;
using Exitless.Run.Stack;
using Exitless.Simulator;

namespace Exitless.Benchmarks.Dashboard;

/// <summary>What the dashboard costs its viewers and its server, against a real control plane with simulated hosts, in headless Chromium.</summary>
internal static class DashboardBenchmark
{
    private const string FleetPrefix = "bench";

    /// <returns>The program's exit code.</returns>
    public static async Task<int> RunAsync(string[] rest)
    {
        var nightly = Environment.GetEnvironmentVariable("EXITLESS_NIGHTLY") == "1";
        var options = new DashboardOptions(Checkout.At("docs/benchmarks/dashboard.md"), nightly ? 600 : 60, 5000, 100_000);
        for (var i = 0; i < rest.Length; i++)
        {
            switch (rest[i])
            {
                case "--output" when i + 1 < rest.Length: options = options with { Output = rest[++i] }; break;
                case "--seconds" when Number(rest, i, out var seconds): (options, i) = (options with { WallSeconds = seconds }, i + 1); break;
                case "--hosts" when Number(rest, i, out var hosts): (options, i) = (options with { Hosts = hosts }, i + 1); break;
                case "--vms" when Number(rest, i, out var vms): (options, i) = (options with { Vms = vms }, i + 1); break;
                default:
                    Console.Error.WriteLine($"'{rest[i]}' is not known, or lacks its value.");
                    return 2;
            }
        }
        var web = Checkout.At("artifacts/web/Exitless.Web.dll");
        if (!File.Exists(web))
        {
            Console.Error.WriteLine($"There is no file {web}. Publish the control plane with scripts/build.");
            return 2;
        }

        var folder = Directory.CreateTempSubdirectory("exitless-bench-");
        // The database runs as another user, who has to be able to enter.
        File.SetUnixFileMode(folder.FullName, (UnixFileMode)0b111_101_101);
        try
        {
            var figures = await MeasureAsync(options, Path.Combine(folder.FullName, "data"));
            Directory.CreateDirectory(Path.GetDirectoryName(options.Output)!);
            await File.WriteAllTextAsync(options.Output, DashboardReport.Markdown(options, figures));
            Console.WriteLine($"wrote {options.Output}");
            Console.WriteLine(DashboardReport.Json(figures));
            return 0;
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static async Task<DashboardFigures> MeasureAsync(DashboardOptions options, string data)
    {
        var (https, agents) = ControlPlaneServer.FreePorts();
        await using var stack = await DemoStack.StartAsync(new DemoStackOptions(Checkout.At("artifacts"), data, https, agents) { Say = Say }, CancellationToken.None);
        var password = stack.Server.FirstPassword ?? throw new InvalidOperationException("The control plane showed no first password.");
        using var authority = X509CertificateLoader.LoadCertificateFromFile(Path.Combine(data, "authority.pem"));
        var shape = new SimulatedShape(Vms: 4);
        var watched = new SimulatedFleetOptions(stack.Server.Address, stack.Rest.Token, authority, 12, shape, Prefix: FleetPrefix);
        await using var fleet = await SimulatedFleet.StartAsync(watched, TimeProvider.System, CancellationToken.None);
        await fleet.CreateVmsAsync(watched, CancellationToken.None);
        await Eventually.HoldsAsync("48 VMs run", TimeSpan.FromMinutes(2), () => Task.FromResult(fleet.Hosts.Sum(h => h.RunningVms) == 48), CancellationToken.None);
        await using var browser = await Chromium.StartAsync();

        Say("48 live charts ...");
        var wall = await WallFigures.MeasureAsync(browser, stack.Server.Address, password, TimeSpan.FromSeconds(options.WallSeconds));
        Say("the server's cost of viewers ...");
        var viewer = await ViewerFigures.MeasureAsync(stack, FleetPrefix);

        Say($"{options.Hosts} more hosts ...");
        var many = new SimulatedFleetOptions(stack.Server.Address, stack.Rest.Token, authority, options.Hosts, new SimulatedShape(Pfs: 1, Vfs: 4, TotalVfs: 8, NumaNodes: 1, Cpus: 16, MemoryGib: 64), Seed: 1_000_000, Prefix: "host");
        await using var crowd = await SimulatedFleet.StartAsync(many, TimeProvider.System, CancellationToken.None);
        await Eventually.HoldsAsync("all hosts are linked", TimeSpan.FromMinutes(5), () => Task.FromResult(crowd.Hosts.All(h => h.Linked)), CancellationToken.None);
        Say($"{options.Vms} VMs ...");
        await ManyVms.InsertAsync(data, options.Vms);
        Say("pages and lists ...");
        var pages = await PageFigures.MeasureAsync(browser, stack.Server.Address, password);
        return new DashboardFigures(wall, viewer, pages);
    }

    private static void Say(string words) => Console.Error.WriteLine(words);

    private static bool Number(string[] rest, int at, out int value)
    {
        value = 0;
        return at + 1 < rest.Length && int.TryParse(rest[at + 1], NumberStyles.None, CultureInfo.InvariantCulture, out value) && value > 0;
    }
}

/// <summary>What is measured.</summary>
/// <param name="Output">The report.</param>
/// <param name="WallSeconds">How long the charts are watched.</param>
/// <param name="Hosts">Simulated hosts under the pages.</param>
/// <param name="Vms">VMs in the list; they stand in the database alone, and nothing runs.</param>
internal sealed record DashboardOptions(string Output, int WallSeconds, int Hosts, int Vms);

/// <summary>All figures.</summary>
internal sealed record DashboardFigures(WallFigures Wall, ViewerFigures Viewer, PageFigures Pages);
