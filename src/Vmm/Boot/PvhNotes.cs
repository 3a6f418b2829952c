using System.Buffers.Binary;
using System.Text;

namespace Exitless.Vmm.Boot;

/// <summary>What the ELF notes named Xen say of a kernel (xen/include/public/elfnote.h); others are passed over.</summary>
internal sealed class PvhNotes
{
    private const uint GuestSystem = 6, Physical32Entry = 18;
    // Linux has less than 1 KiB of notes.
    private const int MostBytes = 64 * 1024;

    /// <summary>The physical address of the 32-bit entry; null if no note names one.</summary>
    public ulong? Entry { get; private set; }

    /// <summary>The name of the operating system; null if no note names it.</summary>
    public string? System { get; private set; }

    /// <summary>Reads the notes in a part of the file, as far as they make sense.</summary>
    public void Take(BootFile file, long offset, long length)
    {
        var bytes = new byte[Math.Min(length, MostBytes)];
        file.ReadAt(bytes, offset);
        ReadOnlySpan<byte> rest = bytes;
        while (rest.Length >= 12)
        {
            var name = BinaryPrimitives.ReadUInt32LittleEndian(rest);
            var content = BinaryPrimitives.ReadUInt32LittleEndian(rest[4..]);
            var kind = BinaryPrimitives.ReadUInt32LittleEndian(rest[8..]);
            var contentAt = 12 + Padded(name);
            var end = contentAt + Padded(content);
            if (end > (ulong)rest.Length)
                return;
            if (rest.Slice(12, (int)name).SequenceEqual("Xen\0"u8))
                Take(kind, rest.Slice((int)contentAt, (int)content));
            rest = rest[(int)end..];
        }
    }

    private void Take(uint kind, ReadOnlySpan<byte> content)
    {
        if (kind == GuestSystem)
            System = Encoding.ASCII.GetString(content).TrimEnd('\0');
        else if (kind == Physical32Entry)
            Entry = content.Length switch { 4 => BinaryPrimitives.ReadUInt32LittleEndian(content), 8 => BinaryPrimitives.ReadUInt64LittleEndian(content), _ => Entry };
    }

    private static ulong Padded(uint bytes) => ((ulong)bytes + 3) & ~3UL;
}
