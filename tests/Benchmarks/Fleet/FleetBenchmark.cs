namespace Exitless.Benchmarks.Fleet;

/// <summary>What one control plane holds: simulated hosts over the real link, a durable PostgreSQL, and those who ask, all on this machine.</summary>
internal static class FleetBenchmark
{
    private const int IngestRows = 1_000_000;

    /// <returns>The program's exit code.</returns>
    public static async Task<int> RunAsync(string[] rest)
    {
        FleetOptions options;
        try
        {
            options = FleetOptions.Parse(rest);
        }
        catch (ArgumentException e)
        {
            await Console.Error.WriteLineAsync(e.Message);
            return 2;
        }
        if (!File.Exists(Checkout.At("artifacts/web/Exitless.Web.dll")))
        {
            await Console.Error.WriteLineAsync($"There is no file {Checkout.At("artifacts/web/Exitless.Web.dll")}. Publish the control plane with scripts/build.");
            return 2;
        }
        var folder = Directory.CreateTempSubdirectory("exitless-fleet-");
        // The database runs as another user, who has to be able to enter.
        File.SetUnixFileMode(folder.FullName, (UnixFileMode)0b111_101_101);
        try
        {
            var figures = await MeasureAsync(options, Path.Combine(folder.FullName, "data"));
            Directory.CreateDirectory(Path.GetDirectoryName(options.Output)!);
            await File.WriteAllTextAsync(options.Output, FleetReport.Markdown(options, figures));
            Console.WriteLine($"wrote {options.Output}");
            Console.WriteLine(FleetReport.Json(options, figures));
            return 0;
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static async Task<FleetFigures> MeasureAsync(FleetOptions options, string data)
    {
        var load = await File.ReadAllTextAsync("/proc/loadavg");
        await using var run = await FleetRun.StartAsync(data);
        var figures = new FleetFigures { LoadBefore = load.Split(' ')[0] };
        var first = await run.RaiseAsync("near", options.WatchedHosts, seed: 1);
        if (options.Measures("watched"))
        {
            FleetRun.Say("every VM is watched ...");
            figures.Watched = await WatchFigures.MeasureAsync(run, first.Hosts, options.Window);
            FleetRun.Say(figures.Watched.Words);
        }
        if (options.Measures("faults"))
        {
            FleetRun.Say($"faults for {options.Faults} ...");
            figures.Faults = await FaultFigures.MeasureAsync(run, first, options.Faults);
            FleetRun.Say($"{figures.Faults.Words}; converged after {figures.Faults.Converged:0.0} s");
        }
        if (options.Hosts > options.WatchedHosts && (options.Measures("held") || options.Measures("requests") || options.Measures("ingest")))
            await run.RaiseAsync("host", options.Hosts - options.WatchedHosts, seed: 1_000_000);
        figures.Raising = run.Raising;
        await run.CalmAsync();
        if (options.Measures("held"))
        {
            FleetRun.Say($"the fleet is held for {options.Window} ...");
            figures.Held = await HeldFigures.MeasureAsync(run, run.Hosts, options.Vms, options.Window);
            FleetRun.Say($"{figures.Held}");
        }
        if (options.Measures("requests"))
        {
            FleetRun.Say("lists and creations under load ...");
            figures.Requests = await RequestFigures.MeasureAsync(run, run.Fleets[^1], options.Window);
            FleetRun.Say(figures.Requests.Words);
        }
        if (options.Measures("ingest"))
        {
            FleetRun.Say("ingest beside a bare COPY ...");
            figures.Ingest = await IngestFigures.MeasureAsync(run, run.Fleets, run.Hosts.Sum(h => h.RunningVms), IngestRows);
            FleetRun.Say(figures.Ingest.Words);
        }
        figures.LoadAfter = (await File.ReadAllTextAsync("/proc/loadavg")).Split(' ')[0];
        return figures;
    }
}

/// <summary>All figures; what is null was not measured.</summary>
internal sealed class FleetFigures
{
    public required string LoadBefore { get; init; }

    public string LoadAfter { get; set; } = "";

    public IReadOnlyList<string> Raising { get; set; } = [];

    public WatchFigures? Watched { get; set; }

    public FaultFigures? Faults { get; set; }

    public HeldFigures? Held { get; set; }

    public RequestFigures? Requests { get; set; }

    public IngestFigures? Ingest { get; set; }
}
