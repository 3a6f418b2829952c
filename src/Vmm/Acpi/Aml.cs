using System.Buffers.Binary;
using System.Text;

namespace Exitless.Vmm.Acpi;

/// <summary>The few words of ACPI Machine Language that the DSDT needs (ACPI 6.5, chapter 20). Each gives the bytes of one term.</summary>
internal static class Aml
{
    public static byte[] Scope(string name, params ReadOnlySpan<byte[]> terms) => [0x10, .. Package(Join([NameString(name)], terms))];

    public static byte[] Device(string name, params ReadOnlySpan<byte[]> terms) => [0x5b, 0x82, .. Package(Join([NameString(name)], terms))];

    public static byte[] Name(string name, byte[] value) => [0x08, .. NameString(name), .. value];

    public static byte[] Method(string name, int arguments, params ReadOnlySpan<byte[]> terms) =>
        [0x14, .. Package(Join([NameString(name), [(byte)arguments]], terms))];

    public static byte[] Notify(string device, byte value) => Notify(device, Integer(value));

    /// <param name="device">Who is told.</param>
    /// <param name="value">A term that gives the value.</param>
    public static byte[] Notify(string device, byte[] value) => [0x86, .. NameString(device), .. value];

    public static byte[] Argument(int index) => [(byte)(0x68 + index)];

    public static byte[] Local(int index) => [(byte)(0x60 + index)];

    public static byte[] Path(string name) => NameString(name);

    public static byte[] Store(byte[] value, byte[] target) => [0x70, .. value, .. target];

    public static byte[] And(byte[] left, byte[] right) => [0x7b, .. left, .. right, 0];

    public static byte[] AreEqual(byte[] left, byte[] right) => [0x93, .. left, .. right];

    public static byte[] If(byte[] condition, params ReadOnlySpan<byte[]> terms) => [0xa0, .. Package(Join([condition], terms))];

    public static byte[] Call(string method, params ReadOnlySpan<byte[]> arguments) => Join([NameString(method)], arguments);

    /// <summary>A region of I/O ports.</summary>
    public static byte[] PortRegion(string name, ushort first, int count) => [0x5b, 0x80, .. NameString(name), 1, .. Integer(first), .. Integer((ulong)count)];

    /// <summary>Fields of a region, one behind the other, accessed by dwords.</summary>
    public static byte[] Fields(string region, params ReadOnlySpan<(string Name, int Bits)> fields)
    {
        const byte dwordAccess = 3;
        var body = new List<byte>([.. NameString(region), dwordAccess]);
        foreach (var (name, bits) in fields)
            body.AddRange([.. NameString(name), (byte)bits]);
        return [0x5b, 0x81, .. Package([.. body])];
    }

    public static byte[] PackageOf(params ReadOnlySpan<byte[]> elements) => [0x12, .. Package(Join([[(byte)elements.Length]], elements))];

    public static byte[] Text(string text) => [0x0d, .. Encoding.ASCII.GetBytes(text), 0];

    public static byte[] Integer(ulong value)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        return value switch
        {
            0 => [0x00],
            1 => [0x01],
            <= byte.MaxValue => [0x0a, bytes[0]],
            <= ushort.MaxValue => [0x0b, .. bytes[..2]],
            <= uint.MaxValue => [0x0c, .. bytes[..4]],
            _ => [0x0e, .. bytes],
        };
    }

    /// <summary>A compressed id such as PNP0A08 (section 19.3.4).</summary>
    public static byte[] EisaId(string id)
    {
        var letters = ((id[0] - '@') << 10) | ((id[1] - '@') << 5) | (id[2] - '@');
        var number = Convert.ToUInt16(id[3..], 16);
        return [0x0c, (byte)(letters >> 8), (byte)letters, (byte)(number >> 8), (byte)number];
    }

    /// <summary>A resource template: descriptors of section 6.4 and the end tag.</summary>
    public static byte[] Resources(params ReadOnlySpan<byte[]> descriptors)
    {
        byte[] all = [.. Join([], descriptors), 0x79, 0];
        return [0x11, .. Package([.. Integer((ulong)all.Length), .. all])];
    }

    private static byte[] Package(byte[] body) => [.. PackageLength(body.Length), .. body];

    /// <summary>A package length (section 20.2.4) for so many bytes behind it; the length, of 1 to 4 bytes, counts itself.</summary>
    internal static byte[] PackageLength(int content)
    {
        if (content + 1 < 1 << 6)
            return [(byte)(content + 1)];
        var bytes = content + 2 < 1 << 12 ? 2 : content + 3 < 1 << 20 ? 3 : 4;
        var length = content + bytes;
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(length, 1 << 28, nameof(content));
        var encoded = new byte[bytes];
        encoded[0] = (byte)(((bytes - 1) << 6) | (length & 0xf));
        for (var i = 1; i < bytes; i++)
            encoded[i] = (byte)(length >> (4 + (8 * (i - 1))));
        return encoded;
    }

    /// <summary>Four-letter names, with a root prefix and dots where there are more (section 20.2.2).</summary>
    private static byte[] NameString(string name)
    {
        var root = name.StartsWith('\\');
        var segments = name.TrimStart('\\').Split('.');
        var prefix = segments.Length switch
        {
            1 => Array.Empty<byte>(),
            2 => [0x2e],
            _ => [0x2f, (byte)segments.Length],
        };
        return [.. root ? "\\"u8 : default, .. prefix, .. segments.SelectMany(s => Encoding.ASCII.GetBytes(s.PadRight(4, '_')))];
    }

    private static byte[] Join(ReadOnlySpan<byte[]> first, ReadOnlySpan<byte[]> rest)
    {
        var all = new List<byte>();
        foreach (var part in first)
            all.AddRange(part);
        foreach (var part in rest)
            all.AddRange(part);
        return [.. all];
    }
}
