using System.Buffers.Binary;
using System.Text;

namespace Exitless.Vmm.Seed;

/// <summary>Writes a small CD-ROM file system (ECMA-119): a label and files in the root directory. Linux shows the names in lower case and without their version.</summary>
internal static class Iso9660
{
    private const int Sector = 2048;
    private const int Descriptor = 16, Terminator = 17, LittlePaths = 18, BigPaths = 19, Root = 20, FirstFile = 21;
    private const int PathTableBytes = 10;

    /// <summary>Makes the image.</summary>
    /// <param name="label">Up to 32 capital letters and digits.</param>
    /// <param name="files">Names, in capital letters and with a version (<c>USER-DATA.;1</c>), and contents.</param>
    public static byte[] Write(string label, IReadOnlyList<(string Name, byte[] Content)> files)
    {
        var placed = new List<(string Name, byte[] Content, int At)>();
        var next = FirstFile;
        // ECMA-119, 9.3: a directory is in the order of its names.
        foreach (var (name, content) in files.OrderBy(f => f.Name, StringComparer.Ordinal))
        {
            placed.Add((name, content, next));
            next += (content.Length + Sector - 1) / Sector;
        }
        var image = new byte[next * Sector];
        WriteDescriptor(image.AsSpan(Descriptor * Sector, Sector), label, next);
        image[Terminator * Sector] = 255;
        Identify(image.AsSpan(Terminator * Sector));
        WritePathTable(image.AsSpan(LittlePaths * Sector), bigEndian: false);
        WritePathTable(image.AsSpan(BigPaths * Sector), bigEndian: true);
        var root = image.AsSpan(Root * Sector, Sector);
        root = root[Record(root, "\0", Root, Sector, isFolder: true)..];
        root = root[Record(root, "\u0001", Root, Sector, isFolder: true)..];
        foreach (var (name, content, at) in placed)
        {
            root = root[Record(root, name, at, content.Length, isFolder: false)..];
            content.CopyTo(image.AsSpan(at * Sector));
        }
        return image;
    }

    private static void Identify(Span<byte> descriptor)
    {
        "CD001"u8.CopyTo(descriptor[1..]);
        descriptor[6] = 1;
    }

    /// <summary>The primary volume descriptor (8.4).</summary>
    private static void WriteDescriptor(Span<byte> at, string label, int sectors)
    {
        at[0] = 1;
        Identify(at);
        Text(at.Slice(8, 32), "");
        Text(at.Slice(40, 32), label);
        Both32(at[80..], (uint)sectors);
        Both16(at[120..], 1);
        Both16(at[124..], 1);
        Both16(at[128..], Sector);
        Both32(at[132..], PathTableBytes);
        BinaryPrimitives.WriteInt32LittleEndian(at[140..], LittlePaths);
        BinaryPrimitives.WriteInt32BigEndian(at[148..], BigPaths);
        Record(at.Slice(156, 34), "\0", Root, Sector, isFolder: true);
        Text(at.Slice(190, 128 * 4), "");
        Text(at.Slice(702, 37 * 3), "");
        for (var date = 813; date < 881; date += 17)
            Encoding.ASCII.GetBytes("0000000000000000", at[date..]);
        at[881] = 1;
    }

    private static void WritePathTable(Span<byte> at, bool bigEndian)
    {
        at[0] = 1;
        if (bigEndian)
        {
            BinaryPrimitives.WriteInt32BigEndian(at[2..], Root);
            BinaryPrimitives.WriteInt16BigEndian(at[6..], 1);
        }
        else
        {
            BinaryPrimitives.WriteInt32LittleEndian(at[2..], Root);
            BinaryPrimitives.WriteInt16LittleEndian(at[6..], 1);
        }
    }

    /// <summary>A directory record (9.1).</summary>
    /// <returns>Its length.</returns>
    private static int Record(Span<byte> at, string name, int sector, int bytes, bool isFolder)
    {
        var length = (33 + name.Length + 1) & ~1;
        at[0] = (byte)length;
        Both32(at[2..], (uint)sector);
        Both32(at[10..], (uint)bytes);
        // 1970-01-01: the same input gives the same image.
        (at[18], at[19], at[20]) = (70, 1, 1);
        at[25] = (byte)(isFolder ? 2 : 0);
        Both16(at[28..], 1);
        at[32] = (byte)name.Length;
        Encoding.ASCII.GetBytes(name, at[33..]);
        return length;
    }

    private static void Text(Span<byte> at, string text)
    {
        at.Fill((byte)' ');
        Encoding.ASCII.GetBytes(text, at);
    }

    private static void Both16(Span<byte> at, ushort value)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(at, value);
        BinaryPrimitives.WriteUInt16BigEndian(at[2..], value);
    }

    private static void Both32(Span<byte> at, uint value)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(at, value);
        BinaryPrimitives.WriteUInt32BigEndian(at[4..], value);
    }
}
