using System.Buffers.Binary;

namespace Exitless.Vmm.Boot;

/// <summary>What a file is that was given as a kernel and is none, for the one who gave it.</summary>
internal static class FoundInstead
{
    /// <summary>Says it in a sentence.</summary>
    /// <param name="head">The file's first 4 KiB, or all of a shorter one.</param>
    public static string Describe(ReadOnlySpan<byte> head)
    {
        if (head.IsEmpty)
            return "It is empty.";
        if (head.StartsWith((ReadOnlySpan<byte>)[0x1f, 0x8b]))
            return "It is a gzip file.";
        if (head.StartsWith((ReadOnlySpan<byte>)[0xfd, (byte)'7', (byte)'z', (byte)'X', (byte)'Z', 0]))
            return "It is an xz file.";
        if (head.StartsWith((ReadOnlySpan<byte>)[0x28, 0xb5, 0x2f, 0xfd]))
            return "It is a Zstandard file.";
        if (head.StartsWith("\u007fELF"u8))
            return "It is an ELF file (an uncompressed vmlinux, perhaps).";
        if (head.StartsWith((ReadOnlySpan<byte>)[(byte)'Q', (byte)'F', (byte)'I', 0xfb]))
            return "It is a qcow2 disk image.";
        if (head.StartsWith("070701"u8) || head.StartsWith("070702"u8))
            return "It is a cpio archive (an initrd, perhaps).";
        if (head.StartsWith("MZ"u8))
            return IsArmImage(head) ? "It is an arm64 Linux kernel." : "It is an EFI or Windows program without a Linux setup header.";
        if (IsArmImage(head))
            return "It is an arm64 Linux kernel.";
        if (head.Length >= 1082 && BinaryPrimitives.ReadUInt16LittleEndian(head[1080..]) == 0xef53)
            return "It is an ext4 file system.";
        return "It lacks a boot sector's signature, 0xAA55 at 0x1FE.";
    }

    private static bool IsArmImage(ReadOnlySpan<byte> head) => head.Length >= 0x3c && head.Slice(0x38, 4).SequenceEqual("ARMd"u8);
}
