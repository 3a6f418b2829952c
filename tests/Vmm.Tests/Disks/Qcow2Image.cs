using System.Buffers.Binary;
using System.Diagnostics;
using Exitless.Linux;
using Exitless.Vmm.Control;
using Exitless.Vmm.Disks;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Tests.Disks;

/// <summary>Makes empty qcow2 images byte by byte, and asks QEMU's own tool about images.</summary>
internal static class Qcow2Image
{
    /// <summary>Header, reference count table and block, level 1 table: the least that an image has.</summary>
    public static byte[] Empty(int version = 3, int clusterBits = 16, long size = 1 << 20, int refcountOrder = 4, string? backing = null)
    {
        var cluster = 1 << clusterBits;
        var perL2 = 1L << ((2 * clusterBits) - 3);
        var l1Entries = (int)((size + perL2 - 1) / perL2);
        var l1Clusters = ((l1Entries * 8) + cluster - 1) / cluster;
        var image = new byte[(3 + l1Clusters) * cluster];
        BinaryPrimitives.WriteUInt32BigEndian(image, 0x514649fb);
        BinaryPrimitives.WriteInt32BigEndian(image.AsSpan(4), version);
        BinaryPrimitives.WriteInt32BigEndian(image.AsSpan(20), clusterBits);
        BinaryPrimitives.WriteInt64BigEndian(image.AsSpan(24), size);
        BinaryPrimitives.WriteInt32BigEndian(image.AsSpan(36), l1Entries);
        BinaryPrimitives.WriteInt64BigEndian(image.AsSpan(40), 3 * cluster);
        BinaryPrimitives.WriteInt64BigEndian(image.AsSpan(48), cluster);
        BinaryPrimitives.WriteInt32BigEndian(image.AsSpan(56), 1);
        if (version == 3)
        {
            BinaryPrimitives.WriteInt32BigEndian(image.AsSpan(96), refcountOrder);
            BinaryPrimitives.WriteInt32BigEndian(image.AsSpan(100), 104);
        }
        if (backing is not null)
        {
            BinaryPrimitives.WriteInt64BigEndian(image.AsSpan(8), 256);
            BinaryPrimitives.WriteInt32BigEndian(image.AsSpan(16), backing.Length);
            System.Text.Encoding.ASCII.GetBytes(backing, image.AsSpan(256));
        }
        BinaryPrimitives.WriteInt64BigEndian(image.AsSpan(cluster), 2 * cluster);
        for (var i = 0; i < 3 + l1Clusters; i++)
            SetCount(image.AsSpan(2 * cluster), i, version == 3 ? refcountOrder : 4);
        return image;
    }

    /// <summary>A file that nobody else has, and that may grow.</summary>
    public static SafeFileHandle File(string folder, ReadOnlySpan<byte> content, out string path)
    {
        path = Path.Combine(folder, $"{Guid.CreateVersion7(TimeProvider.System.GetUtcNow()):N}");
        System.IO.File.WriteAllBytes(path, content.ToArray());
        return Files.Open(path, OpenMode.ReadWrite);
    }

    public static IDisk Open(SafeFileHandle file, bool isReadOnly = false, params SafeFileHandle[] backing) => DiskOpening.Open(
        new DiskConfig { Id = "q", Format = DiskFormat.Qcow2, IsReadOnly = isReadOnly, BackingFormats = new DiskFormat[backing.Length] }, [file, .. backing], "disks[0]");

    /// <summary>Runs qemu-img; its exit code must be zero. Skips the test, in words, where there is none.</summary>
    public static void QemuImg(params string[] arguments)
    {
        Process process;
        try
        {
            process = Process.Start(new ProcessStartInfo("qemu-img", arguments) { UseShellExecute = false, RedirectStandardOutput = true, RedirectStandardError = true })!;
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            Assert.Skip($"qemu-img (package qemu-utils) is needed to compare with: {e.Message}");
            return;
        }
        using (process)
        {
            var output = process.StandardOutput.ReadToEnd() + process.StandardError.ReadToEnd();
            process.WaitForExit();
            Assert.True(process.ExitCode == 0, $"qemu-img {string.Join(' ', arguments)}: {output}");
        }
    }

    private static void SetCount(Span<byte> block, int index, int order)
    {
        if (order >= 3)
            block[(index << (order - 3)) + (1 << (order - 3)) - 1] = 1;
        else
            block[index >> (3 - order)] |= (byte)(1 << (index << order & 7));
    }
}
