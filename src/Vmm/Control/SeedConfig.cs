namespace Exitless.Vmm.Control;

/// <summary>What cloud-init in the guest is told, by a read-only disk labelled CIDATA (its NoCloud data source).</summary>
public sealed record SeedConfig
{
    /// <summary>user-data: a #cloud-config document, a script, or whatever else cloud-init takes.</summary>
    // The JSON reader sets absent members to null.
    public string UserData { get => field ?? ""; init; }

    /// <summary>meta-data as YAML; empty: an instance id (the VM's id) and a host name (from the VM's name).</summary>
    public string MetaData { get => field ?? ""; init; }

    /// <summary>network-config as YAML; empty: none, and cloud-init asks DHCP.</summary>
    public string NetworkConfig { get => field ?? ""; init; }
}
