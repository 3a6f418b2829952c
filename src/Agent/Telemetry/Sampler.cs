using Exitless.Agent.Machines;
using Exitless.Contracts;
using Exitless.Linux;
using Exitless.Linux.Procfs;
using Exitless.Vmm.Control;
using Microsoft.Extensions.Logging;

namespace Exitless.Agent.Telemetry;

/// <summary>Once a second reads every running VM into its ring.</summary>
internal sealed partial class Sampler(SampleFeed feed, HostRoot root, TimeProvider time, ILogger log) : IVmWatcher
{
    private const long StoredPeriod = 10_000;   // ms
    private static readonly TimeSpan Period = TimeSpan.FromSeconds(1);
    private readonly Lock _gate = new();
    private readonly Dictionary<string, Entry> _running = new(StringComparer.Ordinal);
    private ulong _lastSchemaId = (ulong)time.GetUtcNow().ToUnixTimeMilliseconds();   // differs from an earlier agent's

    public async Task StartedAsync(WantedVm vm, RunningVm running)
    {
        try
        {
            var statistics = await running.Client.TakeStatisticsAsync(CancellationToken.None);
            var devices = await running.Client.TakeVectorsAsync(CancellationToken.None);
            var sampler = new VmSampler(vm.VmId, root, running.ProcessId, statistics, [.. devices.Select(d => d.Address)], () => Interlocked.Increment(ref _lastSchemaId));
            lock (_gate)
            {
                if (_running.Remove(vm.VmId, out var before))
                    before.Sampler.Dispose();
                _running[vm.VmId] = new Entry(sampler, feed.RingOf(vm.VmId));
            }
        }
        catch (Exception e) when (e is IOException or InvalidDataException or VmmProblemException)
        {
            NoSamples(log, e, vm.Name);   // the guest ended at once; its end is told elsewhere
        }
    }

    public void Ended(string vmId)
    {
        lock (_gate)
        {
            if (_running.Remove(vmId, out var entry))
                entry.Sampler.Dispose();
        }
    }

    public void Removed(string vmId) => feed.Forget(vmId);

    public async Task RunAsync(CancellationToken stop)
    {
        using var interrupts = new VfioInterrupts(root);
        using var timer = new PeriodicTimer(Period, time);
        while (await timer.WaitForNextTickAsync(stop))
            Tick(interrupts);
    }

    internal void Tick(VfioInterrupts interrupts)
    {
        var any = false;
        lock (_gate)
        {
            if (_running.Count > 0)
                interrupts.Read();
            foreach (var entry in _running.Values)
            {
                try
                {
                    var values = entry.Sampler.Read(interrupts);
                    // A clock that was set back must not make two rows of one time.
                    var now = Math.Max(time.GetUtcNow().ToUnixTimeMilliseconds(), entry.LastTime + 1);
                    entry.Ring.Add(entry.Sampler.Schema, now, now / StoredPeriod != entry.LastTime / StoredPeriod, values);
                    entry.LastTime = now;
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

    private sealed class Entry(VmSampler sampler, SampleRing ring)
    {
        public VmSampler Sampler { get; } = sampler;

        public SampleRing Ring { get; } = ring;

        public long LastTime { get; set; } = ring.NewestTime;
    }

    [LoggerMessage(50, LogLevel.Warning, "{Name}: no samples can be taken")]
    private static partial void NoSamples(ILogger log, Exception exception, string name);
}
