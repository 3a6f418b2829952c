using Exitless.Linux;
using Exitless.Linux.Procfs;

namespace Exitless.Agent.Watching;

/// <summary>Follows every VM of the host, whoever started it, once a second.</summary>
internal sealed class Watch(HostRoot root) : IDisposable
{
    private readonly Dictionary<string, ForeignSampler> _samplers = new(StringComparer.Ordinal);
    private readonly VfioInterrupts _interrupts = new(root);

    /// <summary>Reads a second of each VM; a VM is told from its second second on.</summary>
    public IReadOnlyList<WatchedSecond> Read()
    {
        var vms = ForeignVm.Find(root);
        _interrupts.Read();
        foreach (var gone in _samplers.Keys.Except(vms.Select(KeyOf), StringComparer.Ordinal).ToList())
            Forget(gone);
        var seconds = new List<WatchedSecond>();
        foreach (var vm in vms)
        {
            try
            {
                if (!_samplers.TryGetValue(KeyOf(vm), out var sampler))
                    _samplers[KeyOf(vm)] = sampler = new ForeignSampler(vm, root);
                if (sampler.Read(_interrupts) is { } second)
                    seconds.Add(second);
            }
            catch (Exception e) when (e is IOException or LinuxException)
            {
                Forget(KeyOf(vm));   // it has just ended
            }
        }
        return seconds;
    }

    public void Dispose()
    {
        foreach (var sampler in _samplers.Values)
            sampler.Dispose();
        _interrupts.Dispose();
    }

    // A device that is plugged in or out makes another VM of it.
    private static string KeyOf(ForeignVm vm) => $"{vm.Statistics} {string.Join(' ', vm.Addresses)}";

    private void Forget(string key)
    {
        if (_samplers.Remove(key, out var sampler))
            sampler.Dispose();
    }
}
