using System.Buffers.Binary;
using System.Diagnostics;
using Exitless.Vmm.Disks;
using Exitless.Vmm.Tests.Virtio;

namespace Exitless.Vmm.Tests.Boot.FromDisk;

/// <summary>Disks with file systems that mkfs.ext4 has made, as an installer would.</summary>
internal static class DiskImage
{
    /// <summary>Makes an ext4 file system of a folder's content. Skips the test, in words, where there is no mkfs.ext4.</summary>
    public static byte[] Ext4(string folder, int mebibytes = 8, params string[] options)
    {
        var path = Path.Combine(Path.GetTempPath(), $"exitless-{Guid.CreateVersion7(TimeProvider.System.GetUtcNow()):N}.ext4");
        try
        {
            var start = new ProcessStartInfo("/usr/sbin/mkfs.ext4", ["-q", "-F", .. options, "-d", folder, path, $"{mebibytes}M"]) { UseShellExecute = false, RedirectStandardOutput = true, RedirectStandardError = true };
            using var process = Process.Start(start)!;
            var errors = process.StandardOutput.ReadToEnd() + process.StandardError.ReadToEnd();
            process.WaitForExit();
            Assert.True(process.ExitCode == 0, errors);
            return File.ReadAllBytes(path);
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            Assert.Skip($"mkfs.ext4 (package e2fsprogs) is needed: {e.Message}");
            throw;
        }
        finally
        {
            File.Delete(path);
        }
    }

    /// <summary>A disk with one partition from 1 MiB on.</summary>
    public static byte[] Mbr(byte[] partition, byte kind = 0x83)
    {
        var disk = new byte[(1 << 20) + partition.Length];
        partition.CopyTo(disk, 1 << 20);
        (disk[510], disk[511]) = (0x55, 0xaa);
        Entry(disk.AsSpan(446), kind, 2048, (uint)partition.Length / 512);
        return disk;
    }

    /// <summary>A disk with a partition that is none of ours, and one from 1 MiB on.</summary>
    public static byte[] Gpt(byte[] partition)
    {
        var disk = Mbr(partition, kind: 0xee);
        "EFI PART"u8.CopyTo(disk.AsSpan(512));
        BinaryPrimitives.WriteInt64LittleEndian(disk.AsSpan(512 + 72), 2);
        BinaryPrimitives.WriteInt32LittleEndian(disk.AsSpan(512 + 80), 128);
        BinaryPrimitives.WriteInt32LittleEndian(disk.AsSpan(512 + 84), 128);
        GptEntry(disk.AsSpan(1024), 64, 127);
        GptEntry(disk.AsSpan(1024 + 256), 2048, 2047 + (partition.Length / 512));
        return disk;
    }

    public static IDisk Disk(byte[] content)
    {
        var disk = new MemoryDisk(content.Length);
        content.CopyTo(disk.Content, 0);
        return disk;
    }

    public static void Entry(Span<byte> at, byte kind, uint first, uint count)
    {
        at[4] = kind;
        BinaryPrimitives.WriteUInt32LittleEndian(at[8..], first);
        BinaryPrimitives.WriteUInt32LittleEndian(at[12..], count);
    }

    private static void GptEntry(Span<byte> at, long first, long last)
    {
        at[0] = 1;
        BinaryPrimitives.WriteInt64LittleEndian(at[32..], first);
        BinaryPrimitives.WriteInt64LittleEndian(at[40..], last);
    }
}
