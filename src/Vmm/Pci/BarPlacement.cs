using Exitless.Vmm.Control;
using Exitless.Vmm.Memory;

namespace Exitless.Vmm.Pci;

/// <summary>A BAR that needs an address.</summary>
internal sealed class BarRequest(string device, int index, ulong size, bool is64Bit, string field)
{
    public string Device { get; } = device;

    public int Index { get; } = index;

    public ulong Size { get; } = size;

    public bool Is64Bit { get; } = is64Bit;

    public string Field { get; } = field;

    /// <summary>True for a range of I/O ports.</summary>
    public bool IsIo { get; init; }

    /// <summary>Where it was put; 0: nowhere, the guest finds a place.</summary>
    public ulong Address { get; set; }
}

/// <summary>
/// Gives BARs their addresses before boot, so that the guest has no reason to move them: largest first, naturally aligned, below 4 GiB as
/// long as they fit there, the 64-bit ones that do not above RAM.
/// </summary>
internal static class BarPlacement
{
    private const ulong Page = 4096, Gibibyte = 1 << 30;

    /// <summary>The ports that BARs may have.</summary>
    public const ushort FirstPort = 0xc000;

    /// <summary>How many they are.</summary>
    public const int Ports = 0x4000;

    /// <summary>Places all BARs.</summary>
    /// <param name="bars">Every BAR of every device.</param>
    /// <param name="memoryBytes">Guest RAM.</param>
    /// <param name="addressEnd">The first address that the guest's CPUs cannot name.</param>
    /// <returns>The window above 4 GiB, if it was needed.</returns>
    /// <exception cref="VmmProblemException">device-bar-too-large.</exception>
    public static (ulong Start, ulong End)? Place(IReadOnlyList<BarRequest> bars, ulong memoryBytes, ulong addressEnd)
    {
        PlacePorts(bars.Where(b => b.IsIo));
        var next32 = MemoryMap.Mmio32;
        var start64 = MemoryMap.Mmio64Start(memoryBytes);
        var next64 = start64;
        // Those that cannot go elsewhere come first.
        foreach (var bar in bars.Where(b => !b.IsIo).OrderBy(b => b.Is64Bit).ThenByDescending(b => b.Size))
        {
            // No two BARs share a page, so each page has one owner.
            var align = Math.Max(bar.Size, Page);
            var at32 = (next32 + align - 1) & ~(align - 1);
            if (align <= MemoryMap.VirtioBars - MemoryMap.Mmio32 && at32 + align <= MemoryMap.VirtioBars)
            {
                bar.Address = at32;
                next32 = at32 + align;
                continue;
            }
            var at64 = (next64 + align - 1) & ~(align - 1);
            if (!bar.Is64Bit || at64 + align > addressEnd || at64 + align < at64)
            {
                throw new VmmProblemException("device-bar-too-large", "A device's memory window does not fit into the VM.",
                    $"BAR {bar.Index} of {bar.Device} has {bar.Size:#,0} bytes{(bar.Is64Bit ? $"; the guest's addresses end at 0x{addressEnd:x}" : $" and must lie in the {MemoryMap.VirtioBars - MemoryMap.Mmio32:#,0} bytes below 4 GiB")}.",
                    "Assign fewer devices to this VM.", bar.Field);
            }
            bar.Address = at64;
            next64 = at64 + align;
        }
        return next64 == start64 ? null : (start64, (next64 + Gibibyte - 1) & ~(Gibibyte - 1));
    }

    /// <summary>The window above 4 GiB that is offered for BARs which come later: 64 GiB behind what is taken, or as much as there is.</summary>
    /// <param name="taken">What <see cref="Place"/> needed.</param>
    /// <param name="memoryBytes">Guest RAM.</param>
    /// <param name="addressEnd">The first address that the guest's CPUs or the IOMMU cannot name.</param>
    /// <returns>Null if there is no room above RAM.</returns>
    public static (ulong Start, ulong End)? WithRoom((ulong Start, ulong End)? taken, ulong memoryBytes, ulong addressEnd)
    {
        var start = taken?.Start ?? MemoryMap.Mmio64Start(memoryBytes);
        var end = Math.Min((taken?.End ?? start) + (64 * Gibibyte), addressEnd & ~(Gibibyte - 1));
        return end > start ? (start, end) : taken;
    }

    /// <summary>Ports that find no room stay without an address: no device needs them that has memory too.</summary>
    private static void PlacePorts(IEnumerable<BarRequest> bars)
    {
        ulong next = FirstPort;
        foreach (var bar in bars.OrderByDescending(b => b.Size))
        {
            if (next + bar.Size > FirstPort + Ports)
                continue;
            bar.Address = next;
            next += bar.Size;
        }
    }
}
