namespace Exitless.Vmm.Control;

/// <summary>Stream sockets between guest and host (AF_VSOCK in the guest). The listening Unix socket of the host's end is in <see cref="VmmDescriptors.Vsock"/>.</summary>
public sealed record VsockConfig
{
    /// <summary>The first address that a guest may have.</summary>
    public const long FirstCid = 3;

    /// <summary>The last one: 0xffffffff stands for any.</summary>
    public const long LastCid = 0xffff_fffe;

    /// <summary>The guest's address, by which its own programs know it; guests of one host may have the same.</summary>
    public required long Cid { get; init; }
}
