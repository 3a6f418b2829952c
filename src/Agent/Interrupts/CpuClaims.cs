namespace Exitless.Agent.Interrupts;

/// <summary>Which VM has which of the host's isolated CPUs to itself.</summary>
internal sealed class CpuClaims
{
    private readonly Lock _gate = new();
    private readonly Dictionary<int, string> _owners = [];

    /// <summary>Takes the first free ones, as many as are needed or none.</summary>
    /// <param name="vmId">For whom.</param>
    /// <param name="candidates">The best first.</param>
    /// <param name="count">How many.</param>
    /// <returns>One for each vCPU; none if there are too few.</returns>
    public IReadOnlyList<int> Take(string vmId, IReadOnlyList<int> candidates, int count)
    {
        lock (_gate)
        {
            var free = candidates.Where(c => !_owners.ContainsKey(c)).Take(count).ToArray();
            return free.Length < count ? [] : Own(vmId, free);
        }
    }

    /// <summary>Takes what a running VM has had since before this agent.</summary>
    public void Restore(string vmId, IReadOnlyList<int> cpus)
    {
        lock (_gate)
            Own(vmId, cpus);
    }

    public void Release(string vmId)
    {
        lock (_gate)
        {
            foreach (var cpu in _owners.Where(o => string.Equals(o.Value, vmId, StringComparison.Ordinal)).Select(o => o.Key).ToArray())
                _owners.Remove(cpu);
        }
    }

    private IReadOnlyList<int> Own(string vmId, IReadOnlyList<int> cpus)
    {
        foreach (var cpu in cpus)
            _owners[cpu] = vmId;
        return cpus;
    }
}
