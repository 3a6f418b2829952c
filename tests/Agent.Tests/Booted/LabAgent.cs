using System.Collections.Concurrent;
using System.Text;
using Exitless.Agent.Tests.Booted;
using Exitless.Agent.Tests.Peer;
using Exitless.Contracts;
using Exitless.Lab;

[assembly: AssemblyFixture(typeof(LabAgent))]

namespace Exitless.Agent.Tests.Booted;

/// <summary>The published agent in an emulated SR-IOV host, linked to a scripted control plane; booted when the first test asks.</summary>
public sealed class LabAgent : IAsyncLifetime
{
    public const string Pf = "0000:01:00.0";
    public const string VmId = "0198b6b2-0000-7000-8000-0000000000a1";
    public const string Mac = "52:54:00:aa:00:01";
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(6);
    private readonly SemaphoreSlim _boot = new(1, 1);
    private readonly Lock _gate = new();
    private readonly StringBuilder _console = new();
    private readonly List<AgentEvent> _events = [];
    private readonly ConcurrentDictionary<ulong, SampleSchema> _schemas = new();
    private readonly List<SampleRows> _rows = [];
    private readonly CancellationTokenSource _stop = new();
    private readonly WantedState _wanted = new();
    private TaskCompletionSource _news = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private ScriptedControlPlane _plane = null!;
    private LabHost? _host;
    private AgentStream? _stream;
    private Contracts.Inventory _inventory = new();
    private ObservedState _observed = new();
    private int _streams;

    internal LabHost Host => _host!;

    internal int Streams => Volatile.Read(ref _streams);

    internal Contracts.Inventory Inventory => Read(() => _inventory);

    internal ObservedState Observed => Read(() => _observed);

    /// <summary>What the PF said when its VFs had been made.</summary>
    internal ObservedPf Pf1 { get; private set; } = new();

    internal string Console => Read(_console.ToString);

    internal IReadOnlyList<AgentEvent> Events => Read(() => _events.ToArray());

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        if (_host is not null)
        {
            await _host.DisposeAsync();
            await _plane.DisposeAsync();
        }
        _stop.Dispose();
        _boot.Dispose();
    }

    internal async Task BootAsync()
    {
        await _boot.WaitAsync(TestContext.Current.CancellationToken);
        try
        {
            if (_host is not null)
                return;
            _plane = await ScriptedControlPlane.StartAsync();
            _host = await LabHost.StartAsync(
                new LabHostOptions
                {
                    Name = "agent-tests",
                    AgentPath = Checkout.Agent,
                    ServerPort = _plane.Address.Port,
                    Token = ScriptedControlPlane.GoodToken,
                    AuthorityFingerprint = _plane.Authority.Fingerprint,
                    // One CPU for the host, and one for a vCPU alone.
                    Cpus = 2,
                    KernelArguments = "isolcpus=managed_irq,domain,1",
                },
                TestContext.Current.CancellationToken);
            _ = FollowAsync();
            await WaitAsync("the first inventory", () => Inventory.Devices.Count > 0);
        }
        finally
        {
            _boot.Release();
        }
    }

    internal async Task<string> ShellAsync(string script)
    {
        var result = await Host.ShellAsync(script, TimeSpan.FromSeconds(60), TestContext.Current.CancellationToken);
        Assert.True(result.ExitCode == 0, $"{script}: {result.ExitCode}\n{result}");
        return result.Output.Trim();
    }

    /// <summary>Waits until something that the agent sends makes a condition true.</summary>
    internal async Task WaitAsync(string what, Func<bool> condition)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        limit.CancelAfter(Limit);
        while (true)
        {
            var news = Read(() => _news.Task);
            if (condition())
                return;
            try
            {
                await news.WaitAsync(limit.Token);
            }
            catch (OperationCanceledException)
            {
                var events = string.Join('\n', Events.Select(e => $"{e.Kind}: {e.Message}"));
                Assert.Fail($"{what} did not come. Observed: {Observed}\nEvents:\n{events}\nHost:\n{string.Join('\n', File.ReadLines(Host.ConsoleLogPath).TakeLast(20))}");
            }
        }
    }

    internal async Task WantAsync(Action<WantedState> change)
    {
        WantedState wanted;
        lock (_gate)
        {
            change(_wanted);
            _wanted.Generation++;
            wanted = _wanted.Clone();
        }
        await SendAsync(new ControlMessage { Wanted = wanted });
    }

    internal Task SendAsync(ControlMessage message) => Read(() => _stream!).SendAsync(message);

    /// <summary>Wants 2 VFs, and waits for them.</summary>
    internal async Task HaveVfsAsync()
    {
        await BootAsync();
        if (Inventory.Devices.Count(d => d.PfAddress == Pf) == 2)
            return;
        await WantAsync(w => w.Pfs.Add(new WantedPf { Address = Pf, Generation = 1, NumVfs = 2 }));
        await WaitAsync("the PF", () => Observed.Pfs.Any(p => p.Address == Pf && p.Generation == 1));
        await WaitAsync("2 VFs", () => Inventory.Devices.Count(d => d.PfAddress == Pf) == 2);
        Pf1 = Observed.Pfs.Single();
    }

    /// <summary>The VF with an index; the VFs must have been made.</summary>
    internal PciDevice Vf(uint index) => Inventory.Devices.Single(d => d.PfAddress == Pf && d.VfIndex == index);

    /// <summary>A VM that owns VF 0 and pings through it, running.</summary>
    internal async Task<ObservedVm> HaveRunningVmAsync()
    {
        await HaveVfsAsync();
        if (Vm(VmId) is { State: VmState.Running } running)
            return running;
        await WantAsync(w => Put(w, new WantedVm
        {
            VmId = VmId,
            Generation = w.Generation + 1,
            Name = "pinger",
            Vcpus = 1,
            MemoryMib = 256,
            Kernel = "debian.vmlinuz",
            Initrd = "demo.initrd",
            CommandLine = "console=ttyS0 quiet exitless.ip=10.0.3.20/24 exitless.gateway=10.0.3.2 exitless.ping=10.0.3.2 exitless.rate=5",
            Devices = { new WantedDevice { Address = Vf(0).Address, Mac = Mac } },
            Run = WantedRun.Running,
            StopSeconds = 5,
        }));
        await WaitAsync("the VM", () => Vm(VmId)?.State is VmState.Running or VmState.Failed);
        return Vm(VmId)!;
    }

    internal ObservedVm? Vm(string id) => Observed.Vms.FirstOrDefault(v => v.VmId == id);

    internal static void Put(WantedState wanted, WantedVm vm)
    {
        foreach (var old in wanted.Vms.Where(v => v.VmId == vm.VmId).ToArray())
            wanted.Vms.Remove(old);
        wanted.Vms.Add(vm);
    }

    /// <summary>All rows of one kind as (time, series, value).</summary>
    internal IReadOnlyList<(long Time, string Key, long Value)> Samples(RowKind kind) => Read(() => _rows.Where(r => r.Kind == kind)
        .SelectMany(r => r.Rows.SelectMany(row => row.Values.Select((value, i) => (row.Time, _schemas[r.SchemaId].Series[i].Key, value)))).ToArray());

    internal void ForgetRows() => Read(() =>
    {
        _rows.Clear();
        return 0;
    });

    private async Task FollowAsync()
    {
        while (!_stop.IsCancellationRequested)
        {
            var stream = await _plane.NextStreamAsync(_stop.Token);
            try
            {
                await stream.WelcomeAsync();
                Read(() => _stream = stream);
                Interlocked.Increment(ref _streams);
                while (true)
                    Take(await stream.NextAsync(Timeout.InfiniteTimeSpan));
            }
            catch (Exception e) when (e is InvalidOperationException or IOException or Grpc.Core.RpcException)
            {
                stream.Close();
            }
        }
    }

    private void Take(AgentMessage message)
    {
        lock (_gate)
        {
            if (message.Inventory is { } inventory)
                _inventory = inventory;
            else if (message.Observed is { } observed)
                _observed = observed;
            else if (message.Event is { } happened)
                _events.Add(happened);
            else if (message.Console is { } output)
                _console.Append(Encoding.UTF8.GetString(output.Data.Span));
            else if (message.Schema is { } schema)
                _schemas[schema.SchemaId] = schema;
            else if (message.Rows is { } rows)
                _rows.Add(rows);
            _news.TrySetResult();
            _news = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }
    }

    private T Read<T>(Func<T> read)
    {
        lock (_gate)
            return read();
    }
}
