using Exitless.Agent.Link;
using Exitless.Contracts;

namespace Exitless.Agent.Watching;

/// <summary>Tells the control plane of the VMs that Exitless did not start, every ten seconds, as long as there are any. Where debugfs is not open to the agent it tells of none.</summary>
/// <param name="watch">Follows them; this owns it.</param>
/// <param name="source">Where they are told.</param>
/// <param name="time">The clock.</param>
internal sealed class ForeignFeed(Watch watch, LatestSource<ForeignVms> source, TimeProvider time) : IDisposable
{
    /// <summary>Between two readings.</summary>
    public static readonly TimeSpan Period = TimeSpan.FromSeconds(10);

    private long _last;

    public async Task RunAsync(CancellationToken stop)
    {
        using var timer = new PeriodicTimer(Period, time);
        do Look();
        while (await timer.WaitForNextTickAsync(stop));
    }

    /// <summary>Reads once. What came is told as a rate over the time since the last reading.</summary>
    public void Look()
    {
        var now = time.GetTimestamp();
        var seconds = _last == 0 ? Period.TotalSeconds : time.GetElapsedTime(_last, now).TotalSeconds;
        _last = now;
        var told = new ForeignVms();
        try
        {
            told.Vms.AddRange(watch.Read().Select(vm => Told(vm, Math.Max(seconds, 0.1))));
        }
        catch (AgentException)
        {
            // No KVM, or no debugfs. It may be mounted later.
        }
        source.Set(told);
    }

    public void Dispose() => watch.Dispose();

    private static Contracts.ForeignVm Told(WatchedSecond read, double seconds)
    {
        var vm = new Contracts.ForeignVm { ProcessId = (uint)read.Vm.ProcessId, Name = read.Vm.Name, Program = read.Vm.Program, ExitsPerSecond = Rate(read.Exits, seconds) };
        if (read.ExitsPerInterrupt is { } ratio)
            vm.ExitsPerInterrupt = ratio;
        if (read.MarginalExitsPerInterrupt is { } marginal)
            vm.MarginalExitsPerInterrupt = marginal;
        foreach (var vector in read.Vectors)
            vm.Vectors.Add(new ForeignVector { Address = vector.Address, Vector = (uint)vector.Vector, InterruptsPerSecond = Rate(vector.Interrupts, seconds), Grade = WatchOutput.Word(vector.Grade) });
        return vm;
    }

    private static double Rate(long count, double seconds) => Math.Round(count / seconds, 1);
}
