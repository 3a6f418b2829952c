using Exitless.Agent.ExitReasons;
using Exitless.Linux;
using Exitless.Linux.Interrupts;

namespace Exitless.Agent.Watching;

/// <summary>
/// Follows every VM of the host, whoever started it, once a second. Which devices a VM has is in its process's descriptors, thousands for a large VM: they are looked at
/// when the VM is first seen, after 1, 2, 4, 8 and 16 seconds, since a VMM opens its devices after the VM, and then every half minute for those plugged in later.
/// </summary>
/// <param name="root">The host.</param>
/// <param name="trace">Counts exits by reason too; null: not. This owns it.</param>
internal sealed class Watch(HostRoot root, ExitTrace? trace = null) : IDisposable
{
    private const int LongestPause = 30;   // s
    private readonly Dictionary<string, Watched> _vms = new(StringComparer.Ordinal);
    private readonly VfioInterrupts _interrupts = new(root);
    private long _second;

    /// <summary>How often the descriptors of a process were looked at.</summary>
    internal int Looks { get; private set; }

    /// <summary>Reads a second of each VM, by process id; a VM is told from its second second on.</summary>
    /// <exception cref="AgentException">See <see cref="ForeignVm.Names"/>.</exception>
    public IReadOnlyList<WatchedSecond> Read()
    {
        var names = ForeignVm.Names(root);
        _second++;
        _interrupts.Next();
        trace?.Read();
        foreach (var gone in _vms.Keys.Except(names, StringComparer.Ordinal).ToList())
            Forget(gone);
        var seconds = new List<WatchedSecond>();
        foreach (var name in names)
        {
            try
            {
                if (Follow(name).Sampler.Read() is { } second)
                    seconds.Add(second);
            }
            catch (IOException)
            {
                Forget(name);   // it has just ended
            }
        }
        seconds.Sort((a, b) => a.Vm.ProcessId.CompareTo(b.Vm.ProcessId));
        return seconds;
    }

    public void Dispose()
    {
        foreach (var vm in _vms.Values)
            vm.Sampler.Dispose();
        trace?.Dispose();
        _interrupts.Dispose();
    }

    private Watched Follow(string name)
    {
        var known = _vms.GetValueOrDefault(name);
        if (known is not null && _second < known.LookAt)
            return known;
        var vm = ForeignVm.Examine(root, name);
        Looks++;
        if (known is null || !known.Vm.Addresses.SequenceEqual(vm.Addresses, StringComparer.Ordinal))
        {
            // A device that is plugged in or out makes another VM of it.
            known?.Sampler.Dispose();
            var sampler = new ForeignSampler(vm, root, _interrupts, trace);
            _vms[name] = known = new Watched(vm, sampler) { Pause = known?.Pause ?? 1 };
        }
        known.LookAt = _second + known.Pause;
        known.Pause = Math.Min(known.Pause * 2, LongestPause);
        return known;
    }

    private void Forget(string name)
    {
        if (_vms.Remove(name, out var vm))
            vm.Sampler.Dispose();
    }

    private sealed record Watched(ForeignVm Vm, ForeignSampler Sampler)
    {
        public long LookAt { get; set; }

        public int Pause { get; set; }
    }
}
