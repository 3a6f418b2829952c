using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Tests.Boot;

/// <summary>A bzImage without a kernel: a correct setup header and a payload of a known pattern.</summary>
internal sealed class KernelFile
{
    public const int SetupSectors = 3;
    public const int PayloadOffset = (SetupSectors + 1) * 512;

    public ushort Protocol { get; init; } = 0x020F;
    public ushort Flags { get; init; } = 0x7F;
    public uint InitSize { get; init; } = 8 << 20;
    public ulong Preferred { get; init; } = 0x100_0000;
    public uint CommandLineSize { get; init; } = 2047;
    public uint InitrdAddressMax { get; init; } = 0x7FFF_FFFF;
    /// <summary>Bytes, a multiple of 16.</summary>
    public int PayloadLength { get; init; } = 64 * 1024;
    public byte HeaderEnd { get; init; } = 0x6A;
    public uint Alignment { get; init; } = 0x20_0000;
    public byte Relocatable { get; init; } = 1;
    public byte LoadFlags { get; init; } = 1;

    public byte[] ToArray()
    {
        var file = new byte[PayloadOffset + PayloadLength];
        var span = file.AsSpan();
        file[0x1F1] = SetupSectors;
        BinaryPrimitives.WriteUInt32LittleEndian(span[0x1F4..], (uint)PayloadLength / 16);
        BinaryPrimitives.WriteUInt16LittleEndian(span[0x1FE..], 0xAA55);
        file[0x200] = 0xEB;
        file[0x201] = HeaderEnd;
        "HdrS"u8.CopyTo(span[0x202..]);
        BinaryPrimitives.WriteUInt16LittleEndian(span[0x206..], Protocol);
        file[0x211] = LoadFlags;
        BinaryPrimitives.WriteUInt32LittleEndian(span[0x22C..], InitrdAddressMax);
        BinaryPrimitives.WriteUInt32LittleEndian(span[0x230..], Alignment);
        file[0x234] = Relocatable;
        BinaryPrimitives.WriteUInt16LittleEndian(span[0x236..], Flags);
        BinaryPrimitives.WriteUInt32LittleEndian(span[0x238..], CommandLineSize);
        BinaryPrimitives.WriteUInt64LittleEndian(span[0x258..], Preferred);
        BinaryPrimitives.WriteUInt32LittleEndian(span[0x260..], InitSize);
        for (var i = PayloadOffset; i < file.Length; i++)
            file[i] = (byte)(i * 7);
        return file;
    }

    /// <summary>An open descriptor of a file that is already deleted.</summary>
    public static SafeFileHandle Open(byte[] content)
    {
        var handle = File.OpenHandle(Path.GetTempFileName(), FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, FileOptions.DeleteOnClose);
        RandomAccess.Write(handle, content, 0);
        return handle;
    }
}
