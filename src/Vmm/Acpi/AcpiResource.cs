using System.Buffers.Binary;

namespace Exitless.Vmm.Acpi;

/// <summary>Resource descriptors (ACPI 6.5, section 6.4).</summary>
internal static class AcpiResource
{
    private const byte FixedRange = 0x0c;

    public static byte[] Ports(ushort first, byte count) => [0x47, 1, (byte)first, (byte)(first >> 8), (byte)first, (byte)(first >> 8), 1, count];

    /// <summary>I/O ports that the bridge hands down to its devices; <paramref name="last"/> is among them.</summary>
    public static byte[] PortWindow(ushort first, ushort last)
    {
        const byte entireRange = 3;
        var bytes = Range(0x88, 13, 1, entireRange, sizeof(ushort));
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(8), first);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(10), last);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(14), (ushort)(last - first + 1));
        return bytes;
    }

    /// <summary>An edge-triggered, active-high interrupt of the device's own.</summary>
    public static byte[] EdgeInterrupt(uint gsi)
    {
        byte[] bytes = [0x89, 6, 0, 3, 1, 0, 0, 0, 0];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(5), gsi);
        return bytes;
    }

    public static byte[] FixedMemory(uint address, uint length)
    {
        var bytes = new byte[12];
        (bytes[0], bytes[1], bytes[3]) = (0x86, 9, 1);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(4), address);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(8), length);
        return bytes;
    }

    public static byte[] BusNumbers(ushort first, ushort last)
    {
        var bytes = Range(0x88, 13, 2, 0, sizeof(ushort));
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(8), first);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(10), last);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(14), (ushort)(last - first + 1));
        return bytes;
    }

    /// <summary>Memory that the bridge hands down to its devices; <paramref name="end"/> is the first address behind.</summary>
    public static byte[] Memory32(uint start, uint end)
    {
        var bytes = Range(0x87, 23, 0, 1, sizeof(uint));
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(10), start);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(14), end - 1);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(22), end - start);
        return bytes;
    }

    /// <summary>As <see cref="Memory32"/>, anywhere. Not prefetchable: the only kind of window in which Linux leaves BARs of both kinds.</summary>
    public static byte[] Memory64(ulong start, ulong end)
    {
        var bytes = Range(0x8a, 43, 0, 1, sizeof(ulong));
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(14), start);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(22), end - 1);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(38), end - start);
        return bytes;
    }

    private static byte[] Range(byte tag, ushort length, byte type, byte flags, int width)
    {
        var bytes = new byte[6 + (5 * width)];
        (bytes[0], bytes[1], bytes[3], bytes[4], bytes[5]) = (tag, (byte)length, type, FixedRange, flags);
        return bytes;
    }
}
