using System.Globalization;
using System.Security.Cryptography.X509Certificates;
using Exitless.Run.Stack;
using Exitless.Simulator;

namespace Exitless.Benchmarks.Fleet;

/// <summary>A real control plane with its own durable PostgreSQL, and fleets of simulated hosts that dial it.</summary>
internal sealed class FleetRun : IAsyncDisposable
{
    private static readonly SimulatedShape Shape = new(
        Pfs: 1, Vfs: FleetOptions.VmsOfHost * FleetOptions.VfsOfVm, TotalVfs: 64, NumaNodes: 1, Cpus: 32, MemoryGib: 128, Vms: FleetOptions.VmsOfHost, Vectors: FleetOptions.VectorsOfVf);

    private readonly X509Certificate2 _authority;
    private readonly List<SimulatedFleet> _fleets = [];

    private FleetRun(DemoStack stack, string data)
    {
        Stack = stack;
        Database = new FleetDatabase(data);
        Processes = new FleetProcesses(() => Stack.Server.ProcessId, Database.Cluster);
        _authority = X509CertificateLoader.LoadCertificateFromFile(Path.Combine(data, "authority.pem"));
    }

    public DemoStack Stack { get; }

    public FleetDatabase Database { get; }

    public FleetProcesses Processes { get; }

    public AckWatch Acks { get; } = new();

    public IReadOnlyList<SimulatedFleet> Fleets => _fleets;

    public IReadOnlyList<SimulatedHost> Hosts => [.. _fleets.SelectMany(f => f.Hosts)];

    /// <summary>How long it took until the fleets were up, each with the CPU of the parts.</summary>
    public List<string> Raising { get; } = [];

    public static async Task<FleetRun> StartAsync(string data)
    {
        var (https, agents) = ControlPlaneServer.FreePorts();
        return new FleetRun(await DemoStack.StartAsync(new DemoStackOptions(Checkout.At("artifacts"), data, https, agents) { Say = Say }, CancellationToken.None), data);
    }

    /// <summary>Enrols hosts, writes their VMs into the database, lets them dial, and waits until all that is wanted runs.</summary>
    public async Task<SimulatedFleet> RaiseAsync(string prefix, int count, ulong seed)
    {
        Say($"{count} hosts enrol ...");
        var (cpu, began) = (Processes.Cpu(), TimeProvider.System.GetTimestamp());
        var fleet = await SimulatedFleet.EnrolAsync(new SimulatedFleetOptions(Stack.Server.Address, Stack.Rest.Token, _authority, count, Shape, seed, prefix), TimeProvider.System, CancellationToken.None);
        _fleets.Add(fleet);
        var enrolled = TimeProvider.System.GetElapsedTime(began).TotalSeconds;
        await Database.WriteVmsAsync([.. fleet.HostIds.Select(Guid.Parse).Zip(fleet.Hosts)], FleetOptions.VmsOfHost, FleetOptions.VfsOfVm);
        foreach (var host in fleet.Hosts)
            Acks.Listen(host);
        Say($"{count} hosts dial, {count * FleetOptions.VmsOfHost} VMs start ...");
        fleet.Dial();
        var all = (long)_fleets.Sum(f => f.Hosts.Count) * FleetOptions.VmsOfHost;
        var said = TimeProvider.System.GetTimestamp();
        await Eventually.HoldsAsync($"all {all} VMs run", TimeSpan.FromMinutes(20), async () =>
        {
            if (TimeProvider.System.GetElapsedTime(said) > TimeSpan.FromSeconds(15))
            {
                said = TimeProvider.System.GetTimestamp();
                Say(string.Create(CultureInfo.InvariantCulture, $"  {fleet.Hosts.Count(h => h.Linked)} linked, {fleet.Hosts.Sum(h => h.LinksLost)} links lost, {fleet.Hosts.Sum(h => h.RunningVms)} VMs started"));
            }
            return Hosts.Sum(h => (long)h.RunningVms) == all && await Database.RunningAsync() >= all;
        }, CancellationToken.None);
        var seconds = TimeProvider.System.GetElapsedTime(began).TotalSeconds;
        Raising.Add(string.Create(CultureInfo.InvariantCulture, $"{count} hosts were enrolled in {enrolled:0} s and all their VMs ran after {seconds:0} s ({FleetProcesses.Between(cpu, Processes.Cpu(), seconds).Words}; {fleet.Hosts.Sum(h => h.LinksLost)} links lost on the way)."));
        Say(Raising[^1]);
        return fleet;
    }

    /// <summary>Waits until what came together while the fleet rose is stored and rows are committed about as soon as they come.</summary>
    public Task CalmAsync() => Eventually.HoldsAsync("rows are committed within 5 s", TimeSpan.FromMinutes(5), async () =>
    {
        Acks.Restart();
        using var pulse = new PeriodicTimer(TimeSpan.FromSeconds(10));
        await pulse.WaitForNextTickAsync();
        Say(string.Create(CultureInfo.InvariantCulture, $"  rows are committed at an age of {Acks.Age(0.99):0.0} s (p99)"));
        return Acks.Age(0.99) is < 5;
    }, CancellationToken.None);

    public async ValueTask DisposeAsync()
    {
        foreach (var fleet in _fleets)
            await fleet.DisposeAsync();
        await Database.DisposeAsync();
        await Stack.DisposeAsync();
        _authority.Dispose();
    }

    public static void Say(string words) => Console.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{TimeProvider.System.GetLocalNow():HH:mm:ss} {words}"));
}
