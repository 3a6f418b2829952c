using Exitless.Vmm.Control;

namespace Exitless.Vmm.Vfio;

/// <summary>The addresses that the host's IOMMU can translate for the assigned devices; the rest is out of its reach or reserved.</summary>
internal sealed class IovaRanges(IReadOnlyList<(ulong First, ulong Last)> ranges)
{
    /// <summary>The highest address that can be translated.</summary>
    public ulong Last => ranges.Count == 0 ? ulong.MaxValue : ranges.Max(r => r.Last);

    /// <summary>Checks that a stretch of guest-physical addresses lies in one range.</summary>
    /// <param name="what">What lies there, in words.</param>
    /// <param name="start">Guest-physical address, used as the IOVA.</param>
    /// <param name="size">Bytes.</param>
    /// <param name="field">What the user may change.</param>
    /// <exception cref="VmmProblemException">iova-out-of-range.</exception>
    public void Check(string what, ulong start, ulong size, string field)
    {
        // Kernels before 5.4 do not tell; then the mapping itself is the test.
        if (ranges.Count == 0 || ranges.Any(r => r.First <= start && start + (size - 1) <= r.Last))
            return;
        throw new VmmProblemException("iova-out-of-range", "The host's IOMMU cannot translate all of the guest's addresses.",
            $"{what} lies at 0x{start:x}-0x{start + (size - 1):x}; the IOMMU translates {string.Join(", ", ranges.Select(r => $"0x{r.First:x}-0x{r.Last:x}"))}.",
            "Give the VM less memory, or use a host whose IOMMU has wider addresses (in a virtual machine: aw-bits=48) or fewer reserved regions.", field);
    }
}
