namespace Exitless.Agent.Machines;

/// <summary>Which VM has which function: from before the function is bound until after it is released.</summary>
internal sealed class DeviceClaims
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, (string VmId, string VmName)> _owners = new(StringComparer.Ordinal);

    public IReadOnlySet<string> Addresses
    {
        get
        {
            lock (_gate)
                return _owners.Keys.ToHashSet(StringComparer.Ordinal);
        }
    }

    /// <summary>The name of the VM that has a function; null: none has.</summary>
    public string? OwnerOf(string address)
    {
        lock (_gate)
            return _owners.TryGetValue(address, out var owner) ? owner.VmName : null;
    }

    public bool IsOwner(string address, string vmId)
    {
        lock (_gate)
            return _owners.TryGetValue(address, out var owner) && string.Equals(owner.VmId, vmId, StringComparison.Ordinal);
    }

    /// <summary>Takes all or none.</summary>
    /// <returns>Null: taken. Else the first function that another VM has, and that VM's name.</returns>
    public (string Address, string VmName)? Take(string vmId, string vmName, IReadOnlyList<string> addresses)
    {
        lock (_gate)
        {
            foreach (var address in addresses)
            {
                if (_owners.TryGetValue(address, out var owner) && !string.Equals(owner.VmId, vmId, StringComparison.Ordinal))
                    return (address, owner.VmName);
            }
            foreach (var address in addresses)
                _owners[address] = (vmId, vmName);
            return null;
        }
    }

    public void Release(string vmId)
    {
        lock (_gate)
        {
            foreach (var address in _owners.Where(o => string.Equals(o.Value.VmId, vmId, StringComparison.Ordinal)).Select(o => o.Key).ToArray())
                _owners.Remove(address);
        }
    }
}
