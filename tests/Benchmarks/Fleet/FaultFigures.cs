using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using Exitless.Run.Stack;
using Exitless.Simulator;

namespace Exitless.Benchmarks.Fleet;

/// <summary>kill -9 of the control plane, of PostgreSQL and of half of the agents, at random, while VMs are created and stopped.</summary>
/// <param name="Kills">How many of each.</param>
/// <param name="Acknowledged">Operations that were answered with 202.</param>
/// <param name="Lost">Those of them that are not there afterwards, or have not ended.</param>
/// <param name="OwnedTwice">VFs that two VMs of a host hold, there or in the database.</param>
/// <param name="Touched">VMs that nobody asked anything of, and that were started again or ended.</param>
/// <param name="Converged">Seconds from the last fault until all links were up, every host had what is wanted of it and had said so, and rows were stored; null: not in the time.</param>
internal sealed record FaultFigures(string Kills, int Hosts, int Acknowledged, int Refused, int Lost, int OwnedTwice, int Touched, double? Converged, double Seconds)
{
    private static readonly TimeSpan Between = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan AgentsDown = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(5);

    public bool Holds => Lost == 0 && OwnedTwice == 0 && Touched == 0 && Converged is <= 60;

    public string Words => string.Create(CultureInfo.InvariantCulture, $"{Kills} in {Seconds:0} s on {Hosts} hosts; {Acknowledged} operations acknowledged ({Refused} not, while something was down), {Lost} lost; {OwnedTwice} VFs owned twice; {Touched} VMs touched");

    public static async Task<FaultFigures> MeasureAsync(FleetRun run, SimulatedFleet fleet, TimeSpan window)
    {
        var random = new Random(1);
        var before = fleet.Hosts.SelectMany(h => h.Running).ToDictionary(vm => vm.VmId, vm => vm.Runs);
        using var stop = new CancellationTokenSource();
        var (acknowledged, refused) = (new ConcurrentBag<string>(), 0);
        var asked = AskAsync(run, fleet, acknowledged, () => Interlocked.Increment(ref refused), stop.Token);
        var (servers, databases, agents) = (0, 0, 0);
        var began = TimeProvider.System.GetTimestamp();
        using (var pulse = new PeriodicTimer(Between))
        {
            while (TimeProvider.System.GetElapsedTime(began) < window && await pulse.WaitForNextTickAsync())
            {
                // Each comes in its turn first, so that a short run has all; then at random.
                switch (servers + databases + agents < 3 ? servers + databases + agents : random.Next(3))
                {
                    case 0:
                        FleetRun.Say("kill -9 of the control plane");
                        servers++;
                        await run.Stack.Server.KillAsync();
                        await run.Stack.RestartControlPlaneAsync(CancellationToken.None);
                        break;
                    case 1:
                        FleetRun.Say("kill -9 of PostgreSQL");
                        databases++;
                        await KillDatabaseAsync(run);
                        break;
                    default:
                        FleetRun.Say("kill -9 of half of the agents");
                        agents++;
                        await fleet.KillAgentsAsync([.. Enumerable.Range(0, fleet.Hosts.Count).OrderBy(_ => random.Next()).Take(fleet.Hosts.Count / 2)], AgentsDown);
                        break;
                }
            }
        }
        var seconds = TimeProvider.System.GetElapsedTime(began).TotalSeconds;
        await stop.CancelAsync();
        await asked.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        FleetRun.Say("waiting until all has converged ...");
        var over = TimeProvider.System.GetTimestamp();
        double? converged = null;
        using (var pulse = new PeriodicTimer(TimeSpan.FromMilliseconds(500)))
        {
            while (converged is null && TimeProvider.System.GetElapsedTime(over) < Limit && await pulse.WaitForNextTickAsync())
            {
                if (await ConvergedAsync(run, fleet))
                    converged = TimeProvider.System.GetElapsedTime(over).TotalSeconds;
            }
        }
        var lost = 0;
        foreach (var id in acknowledged)
        {
            // Of an operation that failed or was cancelled people know; of one that is gone, or never ends, nobody does.
            if (await run.Database.NumberAsync("SELECT count(*) FROM operations WHERE id = $1 AND finished_at IS NOT NULL", Guid.Parse(id)) != 1)
                lost++;
        }
        var twice = await run.Database.NumberAsync("SELECT count(*) FROM (SELECT 1 FROM vm_devices GROUP BY host_id, address HAVING count(*) > 1) twice")
            + fleet.Hosts.Sum(h => h.Running.SelectMany(vm => vm.Vfs).GroupBy(vf => vf, StringComparer.Ordinal).Count(g => g.Count() > 1));
        var after = fleet.Hosts.SelectMany(h => h.Running).ToDictionary(vm => vm.VmId, vm => vm.Runs);
        var touched = before.Count(vm => after.GetValueOrDefault(vm.Key) != vm.Value);
        return new FaultFigures(string.Create(CultureInfo.InvariantCulture, $"{servers} kills of the control plane, {databases} of PostgreSQL, {agents} of half of the agents"), fleet.Hosts.Count, acknowledged.Count, refused, lost, (int)twice, touched, converged, seconds);
    }

    // Creations without a VF, for all of them are owned, and now and then one that asks for a VF that has an owner.
    private static async Task AskAsync(FleetRun run, SimulatedFleet fleet, ConcurrentBag<string> acknowledged, Action onRefusal, CancellationToken stop)
    {
        using var pulse = new PeriodicTimer(TimeSpan.FromMilliseconds(200));
        for (var i = 0; await pulse.WaitForNextTickAsync(stop); i++)
        {
            var at = (int)(i * 7919L % fleet.Hosts.Count);
            object[] devices = i % 5 == 0 ? [new { address = fleet.Hosts[at].Vfs[i % fleet.Hosts[at].Vfs.Count] }] : [];
            var body = new { name = $"faulty-{i}", hostId = fleet.HostIds[at], kernel = "debian-12.vmlinuz", initrd = "debian-12.initrd", commandLine = "console=ttyS0", vcpus = 1, memoryMib = 512, start = true, devices };
            try
            {
                var operation = await run.Stack.Rest.PostAsync("api/v1/vms", body, stop);
                acknowledged.Add(operation.GetProperty("id").GetString()!);
            }
            catch (RestProblemException e) when (e.Code.Length > 0)
            {
                if (devices.Length == 0)
                    onRefusal();
            }
            catch (Exception e) when (e is HttpRequestException or RestProblemException || e is TaskCanceledException && !stop.IsCancellationRequested)
            {
                onRefusal();
            }
        }
    }

    private static async Task<bool> ConvergedAsync(FleetRun run, SimulatedFleet fleet)
    {
        if (!fleet.Hosts.All(h => h.Linked))
            return false;
        try
        {
            return await run.Database.NumberAsync("SELECT count(*) FROM hosts WHERE wanted_generation <> observed_generation") == 0
                && await run.Database.NumberAsync("SELECT count(*) FROM operations WHERE finished_at IS NULL") == 0
                && await run.Database.NumberAsync("SELECT count(*) FROM vms WHERE state <> 'Running'") == 0
                && await run.Database.NumberAsync("SELECT count(*) FROM vms v WHERE NOT EXISTS (SELECT 1 FROM metric_rows m WHERE m.vm_id = v.id AND m.time > now() - interval '20 seconds')") == 0;
        }
        catch (Npgsql.NpgsqlException)
        {
            return false;
        }
    }

    /// <summary>As a machine's service manager would, it is started again when its first process is gone.</summary>
    private static async Task KillDatabaseAsync(FleetRun run)
    {
        var process = run.Processes.Postmaster ?? throw new InvalidOperationException("PostgreSQL does not run.");
        using (var postmaster = Process.GetProcessById(process))
        {
            postmaster.Kill();
            await postmaster.WaitForExitAsync();
        }
        var cluster = run.Database.Cluster;
        var programs = Directory.GetFiles("/usr/lib/postgresql", "pg_ctl", SearchOption.AllDirectories).Order(StringComparer.Ordinal).Last();
        var owner = Environment.UserName == "root" ? await OwnerAsync(cluster) : null;
        string[] start = [programs, "start", "-D", cluster, "-w", "-t", "60", "-s", "-l", Path.Combine(cluster, "start.log")];
        // Its last sessions may hold the shared memory for a moment longer.
        await Eventually.HoldsAsync("PostgreSQL starts again", TimeSpan.FromMinutes(1), async () => await RunAsync(owner is null ? start : ["runuser", "-u", owner, "--", .. start]) == 0, CancellationToken.None);
    }

    private static async Task<string> OwnerAsync(string folder)
    {
        var start = new ProcessStartInfo("stat", ["-c", "%U", folder]) { RedirectStandardOutput = true, UseShellExecute = false };
        using var stat = Process.Start(start) ?? throw new InvalidOperationException("stat did not start");
        return (await stat.StandardOutput.ReadToEndAsync()).Trim();
    }

    private static async Task<int> RunAsync(string[] command)
    {
        using var process = Process.Start(new ProcessStartInfo(command[0], command[1..]) { WorkingDirectory = "/" }) ?? throw new InvalidOperationException($"{command[0]} did not start");
        await process.WaitForExitAsync();
        return process.ExitCode;
    }
}
