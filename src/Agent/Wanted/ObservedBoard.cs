using Exitless.Agent.Link;
using Exitless.Contracts;

namespace Exitless.Agent.Wanted;

/// <summary>What runs, put together from what each VM and each PF last reported; every change is sent as a whole.</summary>
internal sealed class ObservedBoard(LatestSource<ObservedState> feed)
{
    private readonly Lock _gate = new();
    private readonly SortedDictionary<string, ObservedVm> _vms = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Contracts.Locality> _localities = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Problem> _problems = new(StringComparer.Ordinal);
    private readonly SortedDictionary<string, ObservedPf> _pfs = new(StringComparer.Ordinal);
    private ulong _generation;
    private bool _open;

    /// <summary>From now on changes are sent. Before, the VMs of an earlier agent are looked for, and a report would leave some out.</summary>
    public void Open() => Change(() => _open = true);

    public void Reached(ulong generation) => Change(() => _generation = generation);

    public void Report(ObservedVm vm) => Change(() => _vms[vm.VmId] = vm.Clone());

    public void Report(ObservedPf pf) => Change(() => _pfs[pf.Address] = pf.Clone());

    /// <summary>Where a running VM is; sent only if it is elsewhere than before.</summary>
    public void Report(string vmId, Contracts.Locality locality)
    {
        lock (_gate)
        {
            if (_localities.TryGetValue(vmId, out var before) && before.Equals(locality))
                return;
        }
        Change(() => _localities[vmId] = locality.Clone());
    }

    /// <summary>What is wrong with a VM that runs all the same; null: nothing any more.</summary>
    public void Report(string vmId, Problem? problem) => Change(() =>
    {
        if (problem is null)
            _problems.Remove(vmId);
        else
            _problems[vmId] = problem.Clone();
    });

    public void RemoveVm(string vmId) => Change(() =>
    {
        _vms.Remove(vmId);
        _localities.Remove(vmId);
        _problems.Remove(vmId);
    });

    public void KeepPfs(IReadOnlySet<string> addresses) => Change(() =>
    {
        foreach (var gone in _pfs.Keys.Where(a => !addresses.Contains(a)).ToArray())
            _pfs.Remove(gone);
    });

    private void Change(Action change)
    {
        lock (_gate)
        {
            change();
            if (!_open)
                return;
            var state = new ObservedState { Generation = _generation };
            foreach (var vm in _vms.Values)
            {
                var sent = vm.Clone();
                if (vm.State == VmState.Running && _localities.TryGetValue(vm.VmId, out var locality))
                    sent.Locality = locality.Clone();
                if (vm.State == VmState.Running && vm.Problem is null && _problems.TryGetValue(vm.VmId, out var problem))
                    sent.Problem = problem.Clone();
                state.Vms.Add(sent);
            }
            state.Pfs.AddRange(_pfs.Values.Select(p => p.Clone()));
            feed.Set(state);
        }
    }
}
