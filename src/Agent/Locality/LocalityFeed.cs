using Exitless.Agent.Machines;
using Exitless.Agent.Wanted;
using Exitless.Vmm.Control;

namespace Exitless.Agent.Locality;

/// <summary>Looks at every running VM's places from time to time, and tells of those that have changed.</summary>
internal sealed class LocalityFeed(VmFleet vms, LocalityReader reader, ObservedBoard board, TimeProvider time)
{
    private static readonly TimeSpan Period = TimeSpan.FromSeconds(10);

    public async Task RunAsync(CancellationToken stop)
    {
        using var timer = new PeriodicTimer(Period, time);
        while (await timer.WaitForNextTickAsync(stop))
        {
            foreach (var (vmId, vm) in vms.AllRunning())
            {
                try
                {
                    board.Report(vmId, await reader.ReadAsync(vm, stop));
                }
                catch (Exception e) when (e is IOException or VmmProblemException or ObjectDisposedException)
                {
                    // It has just ended; that is told elsewhere.
                }
            }
        }
    }
}
