using System.Security.Cryptography.X509Certificates;

namespace Exitless.Simulator;

/// <summary>A fleet to simulate.</summary>
/// <param name="Server">The control plane's address for people and scripts.</param>
/// <param name="Token">An API token of it.</param>
/// <param name="Authority">Its CA's certificate.</param>
/// <param name="Hosts">How many hosts, at least 1.</param>
/// <param name="Shape">What each is made of.</param>
/// <param name="Seed">The first host's; the others follow.</param>
/// <param name="Prefix">Hosts are named after it: <c>sim-0001</c>.</param>
public sealed record SimulatedFleetOptions(Uri Server, string Token, X509Certificate2 Authority, int Hosts, SimulatedShape Shape, ulong Seed = 1, string Prefix = "sim");

/// <summary>Simulated hosts that all run in this process, over one timer: a tenth of them takes its second at each tenth of a second.</summary>
public sealed class SimulatedFleet : IAsyncDisposable
{
    private const int Slots = 10;
    private const int EnrolTogether = 8;

    private readonly CancellationTokenSource _stop = new();
    private readonly SimulatedPeer _peer;
    private readonly List<Member> _members;
    private readonly TimeProvider _time;
    private Task _ticking = Task.CompletedTask;

    private SimulatedFleet(SimulatedPeer peer, List<Member> members, TimeProvider time) => (_peer, _members, _time) = (peer, members, time);

    /// <summary>The hosts, in the order of their names.</summary>
    public IReadOnlyList<SimulatedHost> Hosts => [.. _members.Select(m => m.Host)];

    /// <summary>The ids that the control plane gave them, in the same order.</summary>
    public IReadOnlyList<string> HostIds => [.. _members.Select(m => m.Id)];

    /// <summary>Whether rows are sent that are due; what becomes due meanwhile is sent later.</summary>
    public bool SendsRows
    {
        set
        {
            foreach (var member in _members)
                member.Host.SendsRows = value;
        }
    }

    /// <summary>Enrols every host with a token of its own and opens their links.</summary>
    /// <exception cref="ArgumentException">No hosts, or a shape that no host has.</exception>
    /// <exception cref="InvalidOperationException">The control plane refused; the message carries its words.</exception>
    public static async Task<SimulatedFleet> StartAsync(SimulatedFleetOptions options, TimeProvider time, CancellationToken ct)
    {
        var fleet = await EnrolAsync(options, time, ct);
        fleet.Dial();
        return fleet;
    }

    /// <summary>Enrols every host with a token of its own; no link is opened before <see cref="Dial"/>.</summary>
    /// <inheritdoc cref="StartAsync" path="/exception"/>
    public static async Task<SimulatedFleet> EnrolAsync(SimulatedFleetOptions options, TimeProvider time, CancellationToken ct)
    {
        if (options.Hosts < 1)
            throw new ArgumentException($"{options.Hosts} hosts are too few; give at least 1.", nameof(options));
        options.Shape.Check();
        using var rest = new ControlPlaneClient(options.Server, options.Token, options.Authority);
        var first = await rest.EnrolmentTokenAsync("simulator", ct);
        var peer = await SimulatedPeer.FindAsync(new Uri($"https://{options.Server.Host}:{first.AgentPort}"), first.AuthorityFingerprint, ct);
        try
        {
            var members = new Member[options.Hosts];
            await Parallel.ForAsync(0, options.Hosts, new ParallelOptions { MaxDegreeOfParallelism = EnrolTogether, CancellationToken = ct }, async (i, stop) =>
            {
                var (name, seed) = ($"{options.Prefix}-{i + 1:0000}", options.Seed + (ulong)i);
                var token = i == 0 ? first : await rest.EnrolmentTokenAsync("simulator", stop);
                var (id, certificate) = await peer.EnrolAsync(token.Token, name, seed, stop);
                var host = new SimulatedHost(name, seed, options.Shape, time);
                members[i] = new Member(id, seed, host, certificate, new SimulatedLink(host, id, certificate, peer, time));
            });
            return new SimulatedFleet(peer, [.. members], time);
        }
        catch
        {
            peer.Dispose();
            throw;
        }
    }

    /// <summary>Opens the links of an enrolled fleet, once.</summary>
    public void Dial()
    {
        foreach (var member in _members)
            member.Dial(_stop.Token);
        _ticking = TickAsync();
    }

    /// <summary>Breaks the links of some hosts without a word, as when their agents are killed; their VMs run on, and they dial again when that is over.</summary>
    /// <param name="hosts">Places in <see cref="Hosts"/>.</param>
    /// <param name="down">How long no agent runs there.</param>
    public async Task KillAgentsAsync(IReadOnlyList<int> hosts, TimeSpan down)
    {
        await Task.WhenAll(hosts.Select(i => _members[i].HangUpAsync()));
        await Task.Delay(down, _time, _stop.Token);
        foreach (var i in hosts)
            _members[i].Dial(_stop.Token);
    }

    /// <summary>Creates the shape's VMs on every host through REST, but for those that are there already; each with a VF as long as the host has a free one.</summary>
    /// <returns>How many were created.</returns>
    public async Task<int> CreateVmsAsync(SimulatedFleetOptions options, CancellationToken ct)
    {
        using var rest = new ControlPlaneClient(options.Server, options.Token, options.Authority);
        var created = 0;
        await Parallel.ForEachAsync(_members, new ParallelOptions { MaxDegreeOfParallelism = EnrolTogether, CancellationToken = ct }, async (member, stop) =>
        {
            using var pulse = new PeriodicTimer(TimeSpan.FromMilliseconds(100), _time);
            while (!await rest.HasInventoryAsync(member.Id, stop))
                await pulse.WaitForNextTickAsync(stop);
            var there = await rest.VmNamesAsync(member.Id, stop);
            var free = new Queue<string>(await rest.FreeVfsAsync(member.Id, stop));
            var draw = new Draw(member.Seed);
            for (var i = 1; i <= options.Shape.Vms; i++)
            {
                var name = $"{member.Host.Name}-vm-{i}";
                var vcpus = 1 << (int)(draw.Bits() % 3);
                if (there.Contains(name))
                    continue;
                await rest.CreateVmAsync(name, member.Id, Math.Min(vcpus, options.Shape.Cpus), Math.Min(1024 * vcpus, options.Shape.MemoryGib * 512 / Math.Max(1, options.Shape.Vms)), free.TryDequeue(out var vf) ? vf : null, stop);
                Interlocked.Increment(ref created);
            }
        });
        return created;
    }

    /// <summary>Hangs up all links.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await Task.WhenAll(_members.Select(m => m.Running).Append(_ticking)).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        foreach (var member in _members)
            member.Dispose();
        _peer.Dispose();
        _stop.Dispose();
    }

    private async Task TickAsync()
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(1000 / Slots), _time);
        for (var slot = 0; await timer.WaitForNextTickAsync(_stop.Token); slot = (slot + 1) % Slots)
        {
            for (var i = slot; i < _members.Count; i += Slots)
                _members[i].Host.Tick();
        }
    }

    private sealed record Member(string Id, ulong Seed, SimulatedHost Host, X509Certificate2 Certificate, SimulatedLink Link) : IDisposable
    {
        private CancellationTokenSource? _hangUp;

        public Task Running { get; private set; } = Task.CompletedTask;

        public void Dial(CancellationToken stop)
        {
            _hangUp?.Dispose();
            _hangUp = CancellationTokenSource.CreateLinkedTokenSource(stop);
            Running = Link.RunAsync(_hangUp.Token);
        }

        public async Task HangUpAsync()
        {
            if (_hangUp is not null)
                await _hangUp.CancelAsync();
            await Running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        public void Dispose()
        {
            _hangUp?.Dispose();
            Certificate.Dispose();
        }
    }
}
