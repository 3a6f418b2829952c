using Exitless.Linux;

namespace Exitless.Vmm.Vfio;

/// <summary>One region of a device (struct vfio_region_info).</summary>
/// <param name="Size">Bytes; 0: not there.</param>
/// <param name="Offset">Where it is in the device's descriptor.</param>
/// <param name="Mappable">True if mmap is allowed.</param>
/// <param name="MsixMappable">True if the part with the MSI-X table may be mapped too.</param>
/// <param name="SparseAreas">The only parts that may be mapped (offset, size); null if the kernel sets no limits.</param>
internal sealed record VfioRegion(ulong Size, ulong Offset, bool Mappable, bool MsixMappable, IReadOnlyList<(ulong Offset, ulong Size)>? SparseAreas)
{
    public static VfioRegion None { get; } = new(0, 0, false, false, null);
}

/// <summary>A PCI device as VFIO gives it. Reads and writes go through the descriptor, never through a mapping: the guest can switch a BAR off at any time.</summary>
internal interface IVfioDevice : IDisposable
{
    /// <summary>BARs 0 to 5.</summary>
    IReadOnlyList<VfioRegion> Bars { get; }

    /// <summary>Configuration space.</summary>
    VfioRegion Config { get; }

    /// <summary>How many MSI-X vectors there are; 0: no MSI-X.</summary>
    int MsixCount { get; }

    /// <summary>True if vectors can be added to those in use one by one (VFIO_IRQ_INFO_NORESIZE is clear).</summary>
    bool MsixGrows { get; }

    /// <summary>Reads from a region; a failure gives all ones. Allocates nothing.</summary>
    void Read(VfioRegion region, ulong offset, Span<byte> data);

    /// <summary>Writes to a region; a failure is lost, as a write to absent hardware is. Allocates nothing.</summary>
    void Write(VfioRegion region, ulong offset, ReadOnlySpan<byte> data);

    /// <summary>Lets MSI-X vectors, from a first one on, fire eventfds; null leaves a vector without one.</summary>
    bool TrySetMsix(int first, ReadOnlySpan<EventFd?> triggers);

    /// <summary>Switches MSI-X off and gives all host vectors back.</summary>
    void DisableMsix();

    /// <summary>Maps a part of a region.</summary>
    Mapping Map(VfioRegion region, ulong offset, ulong size);
}
