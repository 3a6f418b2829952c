using Exitless.Agent.Events;
using Exitless.Agent.Machines;
using Exitless.Agent.Telemetry;
using Exitless.Agent.Wanted;
using Exitless.Contracts;
using Exitless.Vmm.Control;

namespace Exitless.Agent.Hangs;

/// <summary>
/// Finds guests that hang and tells of them: the VM runs on, with its problem. A guest is looked at only when its counters have not moved for a while, since a look makes its vCPUs leave it.
/// </summary>
/// <param name="vms">Those that run.</param>
/// <param name="sampler">Knows for how long they have not moved.</param>
/// <param name="board">Where the problem stands.</param>
/// <param name="events">Where its beginning and end are told.</param>
/// <param name="limit">Seconds; 0: nobody is looked at.</param>
/// <param name="time">The clock.</param>
internal sealed class HangWatch(Func<IReadOnlyList<(string VmId, RunningVm Vm)>> vms, Sampler sampler, ObservedBoard board, EventLog events, int limit, TimeProvider time)
{
    private static readonly TimeSpan Period = TimeSpan.FromSeconds(5);
    private readonly Dictionary<string, (HangJudge Judge, bool Told)> _known = new(StringComparer.Ordinal);

    public async Task RunAsync(CancellationToken stop)
    {
        if (limit == 0)
            await Task.Delay(Timeout.InfiniteTimeSpan, time, stop);
        using var timer = new PeriodicTimer(Period, time);
        while (await timer.WaitForNextTickAsync(stop))
        {
            var running = vms();
            foreach (var gone in _known.Keys.Except(running.Select(vm => vm.VmId), StringComparer.Ordinal).ToList())
            {
                _known.Remove(gone);
                board.Report(gone, problem: null);
            }
            foreach (var (vmId, vm) in running)
                await LookAsync(vmId, sampler.StillSeconds(vmId), () => vm.Client.LookAsync(stop));
        }
    }

    /// <summary>Looks at one VM, if it has not moved.</summary>
    internal async Task LookAsync(string vmId, int stillSeconds, Func<Task<IReadOnlyList<VcpuLook>>> look)
    {
        if (!_known.TryGetValue(vmId, out var known))
            _known[vmId] = known = (new HangJudge(limit), false);
        if (stillSeconds < HangJudge.LookAfter(limit))
        {
            known.Judge.Moved();
            if (known.Told)
                events.Info("guest-recovered", "The guest takes interrupts again.", vmId);
            if (known.Told)
                board.Report(vmId, problem: null);
            _known[vmId] = known with { Told = false };
            return;
        }
        if (known.Told)
            return;
        try
        {
            if (known.Judge.Judge(stillSeconds, await look()) is not { } words)
                return;
            var detail = $"Nothing has moved in it since {time.GetUtcNow().AddSeconds(-stillSeconds):u}. {words}";
            _known[vmId] = known with { Told = true };
            events.Error("guest-hung", detail, vmId);
            board.Report(vmId, new Problem { Code = "guest-hung", Title = "The guest hangs", Detail = detail, Remedy = "See its console for its last words; then force it off and start it again." });
        }
        catch (Exception e) when (e is IOException or VmmProblemException or ObjectDisposedException)
        {
            // It has just ended, or is of a version that does not know how to look.
        }
    }
}
