using Exitless.Agent.ExitReasons;
using Exitless.Linux;
using Exitless.Linux.Procfs;

namespace Exitless.Agent.Watching;

/// <summary>The exits of a VM that Exitless did not start by true reason, second by second, summed over its vCPUs.</summary>
internal sealed class ForeignReasons(ExitTrace trace, HostRoot root, ForeignVm vm) : IDisposable
{
    private readonly Dictionary<string, long> _now = new(StringComparer.Ordinal);
    private Dictionary<string, long>? _before;
    private IReadOnlyList<int> _threads = [];

    /// <returns>What came since the last reading; null for the first.</returns>
    public IReadOnlyList<WatchedReason>? Read()
    {
        if (!trace.Follows(vm.ProcessId))
        {
            // Where the kernel does not tell which threads are vCPUs': all of them. No other exits.
            _threads = vm.Vcpus.Count > 0 ? vm.Vcpus : VcpuThreads.All(root, vm.ProcessId);
            _before = null;
            trace.TryFollow(vm.ProcessId, _threads);
            return null;
        }
        _now.Clear();
        foreach (var (key, count) in trace.Counts)
        {
            if (_threads.Contains(key.Thread))
                _now[key.Name] = _now.GetValueOrDefault(key.Name) + count;
        }
        var risen = _before is not { } before ? null
            : _now.Select(one => new WatchedReason(one.Key, Math.Max(0, one.Value - before.GetValueOrDefault(one.Key)))).Where(one => one.Exits > 0)
                .OrderByDescending(one => one.Exits).ThenBy(one => one.Name, StringComparer.Ordinal).ToList();
        _before = new Dictionary<string, long>(_now, StringComparer.Ordinal);
        return risen;
    }

    public void Dispose() => trace.Leave(vm.ProcessId);
}
