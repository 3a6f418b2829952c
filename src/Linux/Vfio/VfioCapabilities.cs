using System.Buffers.Binary;

namespace Exitless.Linux.Vfio;

/// <summary>The chain of capabilities behind an info structure (struct vfio_info_cap_header: u16 id, u16 version, u32 next offset).</summary>
internal static class VfioCapabilities
{
    private const int Most = 64;

    /// <summary>Finds a capability.</summary>
    /// <param name="info">The whole answer, from the structure's first byte.</param>
    /// <param name="first">Offset of the first capability; 0 for none.</param>
    /// <param name="id">Which one.</param>
    /// <returns>From the capability's header on; empty if there is none.</returns>
    public static ReadOnlySpan<byte> Find(ReadOnlySpan<byte> info, uint first, ushort id)
    {
        var offset = first;
        for (var i = 0; i < Most && offset != 0 && offset + 8 <= info.Length; i++)
        {
            var capability = info[(int)offset..];
            if (BinaryPrimitives.ReadUInt16LittleEndian(capability) == id)
                return capability;
            offset = BinaryPrimitives.ReadUInt32LittleEndian(capability[4..]);
        }
        return default;
    }

    /// <summary>The list of pairs that a capability holds: IOVA ranges (first, last) or sparse areas (offset, size).</summary>
    public static List<(ulong First, ulong Second)> Pairs(ReadOnlySpan<byte> capability)
    {
        var pairs = new List<(ulong, ulong)>();
        if (capability.Length < 16)
            return pairs;
        var count = BinaryPrimitives.ReadUInt32LittleEndian(capability[8..]);
        for (var at = 16; count > 0 && at + 16 <= capability.Length; at += 16, count--)
            pairs.Add((BinaryPrimitives.ReadUInt64LittleEndian(capability[at..]), BinaryPrimitives.ReadUInt64LittleEndian(capability[(at + 8)..])));
        return pairs;
    }
}
