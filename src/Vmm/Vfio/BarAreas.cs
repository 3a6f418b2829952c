namespace Exitless.Vmm.Vfio;

/// <summary>Which parts of a BAR the guest may reach without an exit: what the kernel lets us map, less whole pages around the MSI-X table and PBA.</summary>
internal static class BarAreas
{
    public const ulong Page = 4096;

    /// <summary>The parts, by offset, page-aligned.</summary>
    /// <param name="region">The BAR's region.</param>
    /// <param name="holes">Offset and size of the MSI-X structures in this BAR.</param>
    public static List<(ulong Offset, ulong Size)> Mappable(VfioRegion region, IReadOnlyList<(ulong Offset, ulong Size)> holes)
    {
        if (FillsItsPage(region, holes))
            return [(0, Page)];
        // A kernel that does not say MSIX_MAPPABLE refuses mappings that touch the table; without sparse areas that is all of the BAR.
        if (!region.Mappable || (holes.Count > 0 && region is { MsixMappable: false, SparseAreas: null }))
            return [];
        List<(ulong Offset, ulong Size)> areas = [.. region.SparseAreas ?? [(0, region.Size)]];
        foreach (var (offset, size) in holes)
        {
            var start = offset & ~(Page - 1);
            var end = (offset + size + Page - 1) & ~(Page - 1);
            areas = [.. areas.SelectMany(a => Without(a, start, end))];
        }
        // What is not made of whole pages cannot be a memslot.
        return [.. areas.Where(a => a.Size > 0 && a.Offset % Page == 0 && a.Size % Page == 0)];
    }

    /// <summary>
    /// True for a BAR smaller than a page that the kernel lets us map: it does so only if the BAR lies at the start of a page of its own, so the guest may have the
    /// whole page (drivers/vfio/pci/vfio_pci_core.c, vfio_pci_probe_mmaps).
    /// </summary>
    public static bool FillsItsPage(VfioRegion region, IReadOnlyList<(ulong Offset, ulong Size)> holes) =>
        region is { Mappable: true, Size: > 0 and < Page, SparseAreas: null } && holes.Count == 0;

    private static List<(ulong Offset, ulong Size)> Without((ulong Offset, ulong Size) area, ulong start, ulong end)
    {
        var areaEnd = area.Offset + area.Size;
        if (end <= area.Offset || start >= areaEnd)
            return [area];
        var parts = new List<(ulong, ulong)>();
        if (start > area.Offset)
            parts.Add((area.Offset, start - area.Offset));
        if (end < areaEnd)
            parts.Add((end, areaEnd - end));
        return parts;
    }
}
