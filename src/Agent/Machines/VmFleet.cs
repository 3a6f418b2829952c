using Exitless.Contracts;

namespace Exitless.Agent.Machines;

/// <summary>All VMs of the host: one runner each.</summary>
internal sealed class VmFleet(VmServices services, string bootId) : IAsyncDisposable
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, VmRunner> _runners = new(StringComparer.Ordinal);

    /// <summary>Finds the VMs of an earlier agent, all at the same time.</summary>
    public async Task AdoptAsync(CancellationToken stop)
    {
        foreach (var record in services.Records.LoadAll())
            _runners[record.VmId] = new VmRunner(services, record.VmId, record, bootId);
        await Task.WhenAll(_runners.Values.Select(r => r.AdoptAsync(stop)));
        foreach (var runner in _runners.Values)
            runner.Start();
    }

    public void Apply(IReadOnlyList<WantedVm> wanted)
    {
        lock (_gate)
        {
            foreach (var vm in wanted)
            {
                // The id becomes a file's name: nothing but a UUID may.
                if (!Guid.TryParseExact(vm.VmId, "D", out var id) || !string.Equals(id.ToString("D"), vm.VmId, StringComparison.Ordinal))
                {
                    services.Events.Error("vm-id-invalid", $"The control plane named a VM '{vm.VmId}', which is no UUID; it is left out.");
                    continue;
                }
                Want(vm);
            }
            var ids = wanted.Select(v => v.VmId).ToHashSet(StringComparer.Ordinal);
            foreach (var gone in _runners.Where(r => !ids.Contains(r.Key)).ToArray())
            {
                gone.Value.Remove();
            }
        }
    }

    public RunningVm? Running(string vmId)
    {
        lock (_gate)
            return _runners.GetValueOrDefault(vmId)?.Running;
    }

    /// <summary>The VMs that run now, by id.</summary>
    public IReadOnlyList<(string VmId, RunningVm Vm)> AllRunning()
    {
        lock (_gate)
            return [.. _runners.Where(r => r.Value.Running is not null).Select(r => (r.Key, r.Value.Running!))];
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var runner in _runners.Values)
            await runner.DisposeAsync();
    }

    private void Want(WantedVm vm)
    {
        if (_runners.TryGetValue(vm.VmId, out var runner) && runner.TryWant(vm))
            return;
        _runners[vm.VmId] = runner = new VmRunner(services, vm.VmId, null, bootId);
        runner.TryWant(vm);
        runner.Start();
    }
}
