using Exitless.Linux;
using Exitless.Linux.Vfio;

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

    /// <summary>The expansion ROM.</summary>
    VfioRegion Rom { get; }

    /// <summary>Configuration space.</summary>
    VfioRegion Config { get; }

    /// <summary>True if vectors can be added to those in use one by one (VFIO_IRQ_INFO_NORESIZE is clear).</summary>
    bool MsixGrows { get; }

    /// <summary>How many interrupts of a kind there are; 0: none.</summary>
    int InterruptCount(VfioInterrupt kind);

    /// <summary>Reads from a region; a failure gives all ones. Allocates nothing.</summary>
    void Read(VfioRegion region, ulong offset, Span<byte> data);

    /// <summary>Writes to a region; a failure is lost, as a write to absent hardware is. Allocates nothing.</summary>
    void Write(VfioRegion region, ulong offset, ReadOnlySpan<byte> data);

    /// <summary>Lets interrupts of a kind, from a first one on, fire eventfds; null leaves one without.</summary>
    /// <returns>0; or how many the host could give at most, if it is fewer than asked for; or -1, and the error in <see cref="Ioctl.LastError"/>. Unless it is 0, nothing has changed.</returns>
    int TrySetTriggers(VfioInterrupt kind, int first, ReadOnlySpan<EventFd?> triggers);

    /// <summary>Lets an eventfd open the pin again, which the kernel closes at each interrupt. The pin must have its trigger.</summary>
    bool TrySetUnmask(EventFd unmask);

    /// <summary>Gives all host interrupts of a kind back.</summary>
    void Disable(VfioInterrupt kind);

    /// <summary>Resets the device, if it can be reset.</summary>
    bool TryReset();

    /// <summary>Maps a part of a region.</summary>
    Mapping Map(VfioRegion region, ulong offset, ulong size);
}
