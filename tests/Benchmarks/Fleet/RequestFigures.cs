using System.Collections.Concurrent;
using System.Globalization;
using Exitless.Run.Stack;
using Exitless.Simulator;

namespace Exitless.Benchmarks.Fleet;

/// <summary>What those wait for who ask while the fleet sends its rows. Requests are begun at fixed times, whether or not the one before has been answered.</summary>
/// <param name="List">A page of 100 VMs, filtered and sorted, from the request to its last byte.</param>
/// <param name="Accepted">A VM's creation, from the request to 202.</param>
/// <param name="Ordered">The same, from the request to the order at its host's agent.</param>
/// <param name="NotOrdered">VMs that were accepted and whose order never came.</param>
internal sealed record RequestFigures(Latencies? List, Latencies? Accepted, Latencies? Ordered, int NotOrdered, int Refused, CpuShares Cpu)
{
    private static readonly TimeSpan Rest = TimeSpan.FromSeconds(20);

    private static readonly string[] Lists =
    [
        "state=running", "state=running&hostConnected=true", "desired=running", "state=failed", "state=stopped",
    ];

    public static async Task<RequestFigures> MeasureAsync(FleetRun run, SimulatedFleet fleet, TimeSpan window)
    {
        var (lists, accepted, ordered, refused) = (new ConcurrentBag<double>(), new ConcurrentBag<double>(), new ConcurrentBag<double>(), 0);
        var arrivals = new ConcurrentDictionary<Guid, long>();
        foreach (var host in fleet.Hosts)
            host.OnOrdered = vm => arrivals.TryAdd(vm, TimeProvider.System.GetTimestamp());
        var ids = fleet.HostIds;
        var pending = new ConcurrentDictionary<Guid, long>();
        // Both are warm before anything counts.
        await run.Stack.Rest.GetAsync($"api/v1/vms?{Lists[0]}&limit=100", CancellationToken.None);
        var (cpu, began) = (run.Processes.Cpu(), TimeProvider.System.GetTimestamp());
        var asked = PacedAsync(window, TimeSpan.FromMilliseconds(100), async (i, due) =>
        {
            await run.Stack.Rest.GetAsync($"api/v1/vms?{Lists[i % Lists.Length]}&limit=100", CancellationToken.None);
            lists.Add(TimeProvider.System.GetElapsedTime(due).TotalMilliseconds);
        });
        var made = PacedAsync(window, TimeSpan.FromMilliseconds(200), async (i, due) =>
        {
            var body = new { name = $"ordered-{i}", hostId = ids[(int)(i * 7919L % ids.Count)], kernel = "debian-12.vmlinuz", initrd = "debian-12.initrd", commandLine = "console=ttyS0", vcpus = 1, memoryMib = 512, start = true };
            try
            {
                var operation = await run.Stack.Rest.PostAsync("api/v1/vms", body, CancellationToken.None);
                accepted.Add(TimeProvider.System.GetElapsedTime(due).TotalMilliseconds);
                pending[Guid.Parse(operation.GetProperty("vmId").GetString()!)] = due;
            }
            catch (RestProblemException e)
            {
                Interlocked.Increment(ref refused);
                FleetRun.Say(e.Message);
            }
        });
        await Task.WhenAll(asked, made);
        var shares = FleetProcesses.Between(cpu, run.Processes.Cpu(), TimeProvider.System.GetElapsedTime(began).TotalSeconds);
        var waited = TimeProvider.System.GetTimestamp();
        using (var pulse = new PeriodicTimer(TimeSpan.FromMilliseconds(100)))
        {
            while (!pending.Keys.All(arrivals.ContainsKey) && TimeProvider.System.GetElapsedTime(waited) < Rest)
                await pulse.WaitForNextTickAsync();
        }
        foreach (var (vm, due) in pending)
        {
            if (arrivals.TryGetValue(vm, out var at))
                ordered.Add(TimeProvider.System.GetElapsedTime(due, at).TotalMilliseconds);
        }
        return new RequestFigures(Latencies.Of(lists), Latencies.Of(accepted), Latencies.Of(ordered), pending.Count - ordered.Count, refused, shares);
    }

    private static async Task PacedAsync(TimeSpan window, TimeSpan period, Func<int, long, Task> act)
    {
        var running = new List<Task>();
        using var pulse = new PeriodicTimer(period);
        var count = (int)(window / period);
        for (var i = 0; i < count && await pulse.WaitForNextTickAsync(); i++)
            running.Add(act(i, TimeProvider.System.GetTimestamp()));
        await Task.WhenAll(running);
    }

    public string Words => string.Create(CultureInfo.InvariantCulture, $"{List?.Count ?? 0} pages (median {List?.Median:0.0}, longest {List?.Longest:0} ms); {Accepted?.Count ?? 0} VMs (accepted: median {Accepted?.Median:0.0}, p99 {Accepted?.P99:0} ms; ordered: median {Ordered?.Median:0.0}, longest {Ordered?.Longest:0} ms)");
}
