namespace Exitless.Vmm.Control;

/// <summary>A virtio network link on a TAP interface of the host, whose descriptor is in <see cref="VmmDescriptors.Taps"/>.</summary>
public sealed record NetConfig
{
    /// <summary>The guest's MAC address, aa:bb:cc:dd:ee:ff: unicast.</summary>
    public required string Mac { get; init; }
}
