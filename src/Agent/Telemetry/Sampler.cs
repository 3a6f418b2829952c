using Exitless.Agent.Events;
using Exitless.Agent.ExitReasons;
using Exitless.Agent.GuestCounts;
using Exitless.Agent.Machines;
using Exitless.Contracts;
using Exitless.Linux;
using Exitless.Linux.Interrupts;
using Exitless.Vmm.Control;
using Microsoft.Extensions.Logging;

namespace Exitless.Agent.Telemetry;

/// <summary>Once a second reads every running VM into its ring; the exits by reason of those alone at which somebody looks, or for which a rule asks.</summary>
/// <param name="rule">Makes the rule of one VM; null: none asks.</param>
internal sealed partial class Sampler(SampleFeed feed, HostRoot root, EventLog events, TimeProvider time, ILogger log, Func<ReasonRule>? rule = null) : IVmWatcher, IDisposable
{
    private const long StoredPeriod = 10_000;   // ms
    private static readonly TimeSpan Period = TimeSpan.FromSeconds(1);
    private readonly Lock _gate = new();
    private readonly VfioInterrupts _interrupts = new(root);
    private readonly ExitTrace _trace = new(root);
    private readonly Dictionary<string, Entry> _running = new(StringComparer.Ordinal);
    private ulong _lastSchemaId = (ulong)time.GetUtcNow().ToUnixTimeMilliseconds();   // differs from an earlier agent's

    public async Task StartedAsync(WantedVm vm, RunningVm running)
    {
        try
        {
            var statistics = await running.Client.TakeStatisticsAsync(CancellationToken.None);
            var devices = await running.Client.TakeVectorsAsync(CancellationToken.None);
            Add(vm.VmId, running.ProcessId, statistics, [.. devices.Select(d => d.Address)], Hear(vm, running, devices));
        }
        catch (Exception e) when (e is IOException or InvalidDataException or VmmProblemException)
        {
            NoSamples(log, e, vm.Name);   // the guest ended at once; its end is told elsewhere
        }
    }

    /// <summary>Reads a VM from the next second on.</summary>
    /// <param name="addresses">Its functions, dddd:bb:dd.f.</param>
    /// <param name="guest">What its reporter says, and who hears it; null: it is not asked for.</param>
    /// <exception cref="IOException">The VM's process is gone.</exception>
    public void Add(string vmId, int processId, VmmStatistics statistics, IReadOnlyList<string> addresses, (GuestColumns Columns, GuestListener Listener)? guest = null)
    {
        var sampler = new VmSampler(vmId, root, processId, statistics, _interrupts, addresses, _trace, () => Interlocked.Increment(ref _lastSchemaId), guest?.Columns);
        lock (_gate)
        {
            if (_running.Remove(vmId, out var before))
                before.Dispose();
            _running[vmId] = new Entry(sampler, rule?.Invoke(), guest?.Listener, feed.RingOf(vmId));
        }
    }

    public void Ended(string vmId)
    {
        lock (_gate)
        {
            if (_running.Remove(vmId, out var entry))
                entry.Dispose();
        }
    }

    /// <summary>For how many seconds a VM's guest has not moved; 0 for one that is not sampled.</summary>
    public int StillSeconds(string vmId)
    {
        lock (_gate)
            return _running.TryGetValue(vmId, out var entry) ? entry.Sampler.StillSeconds : 0;
    }

    public void Removed(string vmId) => feed.Forget(vmId);

    public async Task RunAsync(CancellationToken stop)
    {
        using var timer = new PeriodicTimer(Period, time);
        while (await timer.WaitForNextTickAsync(stop))
            Tick();
    }

    internal void Tick()
    {
        var any = false;
        lock (_gate)
        {
            _interrupts.Next();
            foreach (var (vmId, entry) in _running)
            {
                if (entry.Sampler.Look(feed.IsLookedAt(vmId) || entry.Rule?.Asks == true) is { } refusal)
                    events.Warning("exit-reasons-unavailable", refusal, vmId);
            }
            _trace.Read();
            foreach (var (vmId, entry) in _running)
            {
                try
                {
                    var values = entry.Sampler.Read();
                    // A clock that was set back must not make two rows of one time.
                    var now = Math.Max(time.GetUtcNow().ToUnixTimeMilliseconds(), entry.LastTime + 1);
                    entry.Ring.Add(entry.Sampler.Schema, now, now / StoredPeriod != entry.LastTime / StoredPeriod, values);
                    entry.LastTime = now;
                    if (entry.Rule?.Take(entry.Sampler.Exits) == true)
                        events.Info("exit-reasons-asked", $"It exits {entry.Sampler.Exits} times a second. Exits are counted by reason for a while, as --reasons-above of the agent asks.", vmId);
                    any = true;
                }
                catch (LinuxException)
                {
                    // The process has just gone; Ended follows.
                }
            }
        }
        if (any)
            feed.RowsCame();
    }

    public void Dispose()
    {
        lock (_gate)
        {
            foreach (var entry in _running.Values)
                entry.Dispose();
            _running.Clear();
        }
        _trace.Dispose();
        _interrupts.Dispose();
    }

    // A VM has a vsock if its reporter is asked for; that this agent did not start it does not matter.
    private (GuestColumns, GuestListener)? Hear(WantedVm vm, RunningVm running, IReadOnlyList<DeviceVectors> devices)
    {
        if (!File.Exists(running.VsockPath))
            return null;
        var word = new GuestWord(time);
        var listener = new GuestListener(
            running.VsockPath, word, () => events.Warning("guest-report-invalid", "The guest's reporter sent what is no report. It was cut off, and may connect again; this is said once in a run.", vm.VmId), time);
        _ = listener.RunAsync();
        return (new GuestColumns(word, devices.Where(d => d.GuestAddress is not null).ToDictionary(d => d.Address, d => d.GuestAddress!, StringComparer.Ordinal)), listener);
    }

    private sealed class Entry(VmSampler sampler, ReasonRule? rule, GuestListener? listener, SampleRing ring) : IDisposable
    {
        public VmSampler Sampler { get; } = sampler;

        public ReasonRule? Rule { get; } = rule;

        public SampleRing Ring { get; } = ring;

        public long LastTime { get; set; } = ring.NewestTime;

        public void Dispose()
        {
            Sampler.Dispose();
            listener?.Dispose();
        }
    }

    [LoggerMessage(50, LogLevel.Warning, "{Name}: no samples can be taken")]
    private static partial void NoSamples(ILogger log, Exception exception, string name);
}
