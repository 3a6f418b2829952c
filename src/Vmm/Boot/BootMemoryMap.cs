using Exitless.Vmm.Memory;

namespace Exitless.Vmm.Boot;

/// <summary>The memory map that a kernel is given (E820 types, ACPI 6.5, table 15.4).</summary>
internal static class BootMemoryMap
{
    private const uint Ram = 1, Reserved = 2;

    /// <summary>The entries, in the order of their addresses.</summary>
    public static IEnumerable<(ulong Start, ulong End, uint Kind)> Of(IReadOnlyList<RamRange> ram)
    {
        yield return (0, MemoryMap.LowRamEnd, Ram);
        yield return (MemoryMap.LowRamEnd, MemoryMap.OneMebibyte, Reserved);
        yield return (MemoryMap.OneMebibyte, ram[0].Size, Ram);
        // Without this Linux does not trust the ECAM window.
        yield return (MemoryMap.Ecam, MemoryMap.Ecam + MemoryMap.EcamSize, Reserved);
        foreach (var range in ram.Skip(1))
            yield return (range.GuestAddress, range.GuestAddress + range.Size, Ram);
    }
}
