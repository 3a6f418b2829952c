using System.Buffers.Binary;

namespace Exitless.Benchmarks;

/// <summary>A bzImage of a few instructions (Documentation/arch/x86/boot.rst), for hosts whose KVM runs no Linux.</summary>
internal static class TinyImage
{
    private const int Payload = 4096, Entry = 0x200;

    /// <summary>Prints one byte, makes so many accesses, prints another, switches off.</summary>
    /// <param name="access">One instruction: port in edx, address in rbx, value in al.</param>
    /// <param name="port">For edx.</param>
    /// <param name="address">For rbx.</param>
    /// <param name="count">How many.</param>
    public static byte[] Loop(ReadOnlySpan<byte> access, ushort port, uint address, uint count) => Image(
    [
        0xba, 0xf8, 0x03, 0, 0, 0xb0, (byte)'a', 0xee,                                        // out 0x3f8, 'a'
        0xba, (byte)port, (byte)(port >> 8), 0, 0, 0xbb, .. Little(address), 0xb9, .. Little(count),
        .. access, 0xff, 0xc9, 0x75, (byte)-(access.Length + 4),                              // dec ecx; jnz
        0xba, 0xf8, 0x03, 0, 0, 0xb0, (byte)'z', 0xee,
        0xba, 0, 0x06, 0, 0, 0xb0, 0x34, 0xee, 0xf4, 0xeb, 0xfd,                              // out 0x600: S5
    ]);

    /// <summary>Prints one byte and halts for ever.</summary>
    public static byte[] Halt => Image([0xba, 0xf8, 0x03, 0, 0, 0xb0, (byte)'a', 0xee, 0xf4, 0xeb, 0xfd]);

    /// <summary>Prints one byte, sends itself interrupt 0x41 by its x2APIC, and runs in a circle with interrupts off: a guest that hangs.</summary>
    public static byte[] Hang => Image(
    [
        0xba, 0xf8, 0x03, 0, 0, 0xb0, (byte)'a', 0xee,
        0xb9, 0x1b, 0, 0, 0, 0x0f, 0x32, 0x0d, 0x00, 0x0c, 0, 0, 0x0f, 0x30,                  // IA32_APIC_BASE: x2APIC on
        0xb9, 0x0f, 0x08, 0, 0, 0xb8, 0xff, 0x01, 0, 0, 0x31, 0xd2, 0x0f, 0x30,               // spurious vector 0xff, APIC enabled
        0xb9, 0x3f, 0x08, 0, 0, 0xb8, 0x41, 0, 0, 0, 0x0f, 0x30,                              // self IPI
        0xeb, 0xfe,
    ]);

    private static byte[] Little(uint value) => [(byte)value, (byte)(value >> 8), (byte)(value >> 16), (byte)(value >> 24)];

    private static byte[] Image(byte[] code)
    {
        var paragraphs = (Entry + code.Length + 15) / 16;
        var image = new byte[Payload + (16 * paragraphs)];
        image[0x1f1] = (Payload / 512) - 1;
        BinaryPrimitives.WriteInt32LittleEndian(image.AsSpan(0x1f4), paragraphs);
        BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(0x1fe), 0xaa55);
        image[0x201] = 0x66;
        "HdrS"u8.CopyTo(image.AsSpan(0x202));
        BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(0x206), 0x20f);
        (image[0x211], image[0x234], image[0x236]) = (1, 1, 1);
        BinaryPrimitives.WriteUInt32LittleEndian(image.AsSpan(0x22c), 0x7fffffff);
        BinaryPrimitives.WriteUInt32LittleEndian(image.AsSpan(0x230), 0x200000);
        BinaryPrimitives.WriteUInt32LittleEndian(image.AsSpan(0x238), 2047);
        BinaryPrimitives.WriteUInt64LittleEndian(image.AsSpan(0x258), 0x1000000);
        BinaryPrimitives.WriteUInt32LittleEndian(image.AsSpan(0x260), 1 << 20);
        code.CopyTo(image.AsSpan(Payload + Entry));
        return image;
    }
}
