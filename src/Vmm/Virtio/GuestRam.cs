using Exitless.Vmm.Memory;

namespace Exitless.Vmm.Virtio;

/// <summary>Guest memory as a device sees it: every address comes from the guest and is looked up in the ranges of RAM before it is touched.</summary>
internal sealed unsafe class GuestRam(IReadOnlyList<RamRange> ranges)
{
    // An array: over an interface, foreach would allocate an enumerator for each descriptor.
    private readonly RamRange[] _ranges = [.. ranges];

    /// <summary>Where this process sees guest memory from an address on.</summary>
    /// <param name="address">Guest-physical address.</param>
    /// <param name="contiguous">How many bytes follow in one piece; 0 if the address is not RAM.</param>
    /// <returns>Null if the address is not RAM.</returns>
    public byte* Find(ulong address, out ulong contiguous)
    {
        foreach (ref readonly var range in _ranges.AsSpan())
        {
            var offset = address - range.GuestAddress;
            if (offset >= range.Size)
                continue;
            contiguous = range.Size - offset;
            return (byte*)range.HostAddress + offset;
        }
        contiguous = 0;
        return null;
    }

    /// <summary>Where this process sees a whole stretch of guest memory; null if any of it is not RAM or it is not in one piece.</summary>
    public byte* FindWhole(ulong address, ulong length)
    {
        var start = Find(address, out var contiguous);
        return contiguous >= length ? start : null;
    }
}
