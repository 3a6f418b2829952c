using Exitless.Agent.ExitReasons;
using Exitless.Agent.Grading;
using Exitless.Linux;
using Exitless.Linux.Interrupts;

namespace Exitless.Agent.Watching;

/// <summary>
/// Follows every VM of the host, whoever started it, once a second or more seldom. Which devices a VM has is in its process's descriptors, thousands for a large VM: they are looked at
/// when the VM is first seen, at the 1st, 2nd, 4th, 8th and 16th reading after, since a VMM opens its devices after the VM, and then at every 30th for those plugged in later.
/// </summary>
/// <param name="root">The host.</param>
/// <param name="trace">Counts exits by reason too; null: not. This owns it.</param>
/// <param name="passedOver">Tells of a process whose VM is not looked at; null: all are.</param>
/// <param name="longestPause">Readings between two looks at a process's descriptors.</param>
/// <param name="ratioSamples">Readings that <see cref="ExitRatio"/> is made of.</param>
internal sealed class Watch(HostRoot root, ExitTrace? trace = null, Func<int, bool>? passedOver = null, int longestPause = 30, int ratioSamples = ExitRatio.Seconds) : IDisposable
{
    private readonly Dictionary<string, Watched> _vms = new(StringComparer.Ordinal);
    private readonly VfioInterrupts _interrupts = new(root);
    private readonly Dictionary<string, int> _processes = new(StringComparer.Ordinal);
    private long _second;

    /// <summary>How often the descriptors of a process were looked at.</summary>
    internal int Looks { get; private set; }

    /// <summary>Reads a second of each VM, by process id; a VM is told from its second second on.</summary>
    /// <exception cref="AgentException">See <see cref="ForeignVm.Names"/>.</exception>
    public IReadOnlyList<WatchedSecond> Read()
    {
        var names = ForeignVm.Names(root);
        foreach (var gone in _processes.Keys.Except(names, StringComparer.Ordinal).ToList())
            _processes.Remove(gone);
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
                if (ProcessOf(name) is { } process && passedOver?.Invoke(process) != true && Follow(name, process).Sampler.Read() is { } second)
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

    private int? ProcessOf(string name)
    {
        if (!_processes.TryGetValue(name, out var process) && ForeignVm.ProcessOf(root, name) is { } found)
            _processes[name] = process = found;
        return process > 0 ? process : null;
    }

    private Watched Follow(string name, int processId)
    {
        var known = _vms.GetValueOrDefault(name);
        if (known is not null && _second < known.LookAt)
            return known;
        var vm = ForeignVm.Examine(root, name, processId);
        Looks++;
        if (known is null || !known.Vm.Addresses.SequenceEqual(vm.Addresses, StringComparer.Ordinal))
        {
            // A device that is plugged in or out makes another VM of it.
            known?.Sampler.Dispose();
            var sampler = new ForeignSampler(vm, root, _interrupts, trace, ratioSamples);
            _vms[name] = known = new Watched(vm, sampler) { Pause = known?.Pause ?? 1 };
        }
        known.LookAt = _second + known.Pause;
        known.Pause = Math.Min(known.Pause * 2, longestPause);
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
