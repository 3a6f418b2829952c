using System.Buffers.Binary;
using CsCheck;
using Exitless.Linux;
using Exitless.Vmm.Control;
using Exitless.Vmm.Disks;

namespace Exitless.Vmm.Tests.Disks;

/// <summary>qcow2 images against a plain array, and against QEMU's own tool.</summary>
public sealed class Qcow2Tests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("exitless").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(3, 16, 4, 8 << 20)]
    [InlineData(3, 9, 4, 2 << 20)]
    [InlineData(3, 9, 6, 2 << 20)]
    [InlineData(3, 12, 0, 4 << 20)]
    [InlineData(3, 12, 2, 4 << 20)]
    [InlineData(2, 12, 4, 4 << 20)]
    [InlineData(2, 21, 4, 16 << 20)]
    public void An_image_holds_what_was_written_and_stays_sound(int version, int clusterBits, int order, int size)
    {
        var model = new byte[size];
        using var file = Qcow2Image.File(_folder, Qcow2Image.Empty(version, clusterBits, size, order), out var path);
        Exercise(path, model, rounds: 3);
        Qcow2Image.QemuImg("check", path);
        AssertConverts(path, model);
    }

    [Theory]
    [InlineData(3)]
    [InlineData(2)]
    public void A_backing_file_shows_through_and_is_never_written(int version)
    {
        const int size = 3 << 20;
        var model = new byte[size];
        // Shorter than the image: behind its end there are zeros.
        var below = new byte[(2 << 20) + 512];
        new Random(1).NextBytes(below);
        below.CopyTo(model, 0);
        using var backing = Qcow2Image.File(_folder, below, out var backingPath);
        using var file = Qcow2Image.File(_folder, Qcow2Image.Empty(version, 16, size, backing: Path.GetFileName(backingPath)), out var path);
        Exercise(path, model, rounds: 2, backingPath);
        Assert.Equal(below, File.ReadAllBytes(backingPath));
        Qcow2Image.QemuImg("rebase", "-u", "-F", "raw", "-b", Path.GetFileName(backingPath), path);
        Qcow2Image.QemuImg("check", path);
        AssertConverts(path, model);
    }

    [Fact]
    public void Compressed_clusters_are_read_and_may_be_written_over()
    {
        var model = new byte[4 << 20];
        for (var i = 0; i < model.Length; i++)
            model[i] = (byte)(i / 1000 % 7 == 0 ? i * 31 : i / 4096);
        var raw = Path.Combine(_folder, "raw");
        var path = Path.Combine(_folder, "packed");
        File.WriteAllBytes(raw, model);
        Qcow2Image.QemuImg("convert", "-c", "-f", "raw", "-O", "qcow2", raw, path);
        using (var disk = Qcow2Image.Open(Files.Open(path, OpenMode.ReadWrite)))
        {
            var all = new byte[model.Length];
            Assert.Equal(0, DiskIo.Read(disk, 0, all));
            Assert.Equal(model, all);
        }
        Exercise(path, model, rounds: 2);
        Qcow2Image.QemuImg("check", path);
        AssertConverts(path, model);
    }

    [Fact]
    public void What_was_not_flushed_may_be_lost_but_the_image_is_sound_at_every_moment()
    {
        using var file = Qcow2Image.File(_folder, Qcow2Image.Empty(size: 8 << 20), out var path);
        var disk = Qcow2Image.Open(Files.Open(path, OpenMode.ReadWrite));
        Assert.Equal(0, DiskIo.Write(disk, 0, new byte[200_192]));
        Assert.Equal(0, disk.Flush());
        Assert.Equal(0, DiskIo.Write(disk, 4 << 20, new byte[65536]));
        File.Copy(path, path + "-lost");
        disk.Dispose();
        // Leaked clusters are repaired without loss; anything else is an error (exit code 2).
        Qcow2Image.QemuImg("check", "-r", "leaks", path + "-lost");
        Qcow2Image.QemuImg("check", path);
    }

    [Theory]
    [InlineData("magic", "disk-not-qcow2")]
    [InlineData("version", "disk-qcow2-unsupported")]
    [InlineData("encryption", "disk-qcow2-unsupported")]
    [InlineData("snapshots", "disk-qcow2-unsupported")]
    [InlineData("external data", "disk-qcow2-unsupported")]
    [InlineData("extended L2", "disk-qcow2-unsupported")]
    [InlineData("unknown feature", "disk-qcow2-unsupported")]
    [InlineData("dirty", "disk-qcow2-unsound")]
    [InlineData("cluster size", "disk-qcow2-corrupt")]
    [InlineData("level 1 outside", "disk-qcow2-corrupt")]
    [InlineData("level 1 short", "disk-qcow2-corrupt")]
    [InlineData("counts outside", "disk-qcow2-corrupt")]
    [InlineData("truncated", "disk-qcow2-corrupt")]
    [InlineData("backing", "disk-chain-broken")]
    public void An_image_that_cannot_be_used_is_refused_in_words(string what, string code)
    {
        var image = Qcow2Image.Empty();
        var (at, value) = what switch
        {
            "magic" => (0, 0u),
            "version" => (4, 4u),
            "encryption" => (32, 1u),
            "snapshots" => (60, 2u),
            "external data" => (76, 4u),
            "extended L2" => (76, 16u),
            "unknown feature" => (76, 1u << 20),
            "dirty" => (76, 1u),
            "cluster size" => (20, 31u),
            "level 1 outside" => (44, 0x4000_0000u),
            "level 1 short" => (36, 0u),
            "counts outside" => (52, 0x4000_0000u),
            "truncated" => (0, 0x514649fbu),
            _ => (12, 256u),
        };
        BinaryPrimitives.WriteUInt32BigEndian(image.AsSpan(at), value);
        if (what == "backing")
            image[19] = 3;
        if (what == "truncated")
            image = image[..100];
        var problem = Assert.Throws<VmmProblemException>(() => Qcow2Image.Open(Qcow2Image.File(_folder, image, out _)));
        Assert.Equal((code, "disks[0]"), (problem.Code, problem.Field));
    }

    [Fact]
    public void A_corrupt_image_costs_requests_an_error_and_nothing_else()
    {
        var valid = Prepared();
        var data = new byte[8192];
        var change = Gen.Select(Gen.OneOf(Gen.Int[0, 127], Gen.Int[0, 4095], Gen.Int[0, valid.Length - 1]), Gen.OneOf(Gen.Byte, Gen.Const((byte)0xff), Gen.Const((byte)0)));
        var act = Gen.Select(Gen.Int[0, 4], Gen.Long[0, 500], Gen.Int[1, 16]);
        Gen.Select(change.Array[1, 12], act.Array[1, 12]).Sample(
            (changes, acts) =>
            {
                var image = (byte[])valid.Clone();
                foreach (var (at, value) in changes)
                    image[at] = value;
                IDisk disk;
                try
                {
                    disk = Qcow2Image.Open(Growing(image));
                }
                catch (VmmProblemException)
                {
                    return;
                }
                using (disk)
                {
                    foreach (var (kind, sector, sectors) in acts)
                    {
                        var offset = sector * 512;
                        var length = (int)Math.Min(sectors * 512, disk.Bytes - offset);
                        if (length <= 0)
                            continue;
                        var before = GC.GetAllocatedBytesForCurrentThread();
                        _ = kind switch
                        {
                            0 => DiskIo.Read(disk, offset, data.AsSpan(0, length)),
                            1 => DiskIo.Write(disk, offset, data.AsSpan(0, length)),
                            2 => disk.Zero(offset, length, mayUnmap: (sectors & 1) == 0),
                            3 => disk.Discard(offset, length),
                            _ => disk.Flush(),
                        };
                        // The cache of tables may still be filling: 128 blocks of 4 KiB are all that it ever has.
                        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 600_000);
                    }
                }
            },
            iter: FuzzRuns.Count, threads: 1);
    }

    /// <summary>A small image with data, zeros and holes.</summary>
    private byte[] Prepared()
    {
        using var file = Qcow2Image.File(_folder, Qcow2Image.Empty(clusterBits: 9, size: 256 * 1024), out var path);
        using (var disk = Qcow2Image.Open(Files.Open(path, OpenMode.ReadWrite)))
        {
            for (var i = 0; i < 20; i++)
                Assert.Equal(0, DiskIo.Write(disk, i * 7 * 512, new byte[1024]));
            Assert.Equal(0, disk.Zero(4096, 4096, mayUnmap: false));
        }
        return File.ReadAllBytes(path);
    }

    private static Microsoft.Win32.SafeHandles.SafeFileHandle Growing(ReadOnlySpan<byte> content)
    {
        var file = MemoryFile.CreateGrowing("image");
        Files.WriteAll(file, content);
        return file;
    }

    /// <summary>Random work, the same on the disk and on the model, over several openings.</summary>
    private static void Exercise(string path, byte[] model, int rounds, string? backing = null)
    {
        var random = new Random(model.Length);
        for (var round = 0; round < rounds; round++)
        {
            using var disk = Qcow2Image.Open(Files.Open(path, OpenMode.ReadWrite), false, backing is null ? [] : [Files.Open(backing, OpenMode.Read)]);
            Assert.Equal(model.Length, disk.Bytes);
            for (var i = 0; i < 150; i++)
            {
                var sectors = random.Next(1, random.Next(10) == 0 ? 600 : 20);
                var offset = random.Next(0, (model.Length / 512) - sectors) * 512;
                var part = model.AsSpan(offset, sectors * 512);
                switch (random.Next(10))
                {
                    case < 5:
                        random.NextBytes(part);
                        Assert.Equal(0, DiskIo.Write(disk, offset, part));
                        break;
                    case 5:
                        part.Clear();
                        Assert.Equal(0, disk.Zero(offset, part.Length, mayUnmap: random.Next(2) == 0));
                        break;
                    case 6:
                        // After a discard the content is anybody's guess, so it is written anew.
                        Assert.Equal(0, disk.Discard(offset, part.Length));
                        Assert.Equal(0, DiskIo.Write(disk, offset, part));
                        break;
                    case 7:
                        Assert.Equal(0, disk.Flush());
                        break;
                    default:
                        var there = new byte[part.Length];
                        Assert.Equal(0, DiskIo.Read(disk, offset, there));
                        Assert.True(part.SequenceEqual(there), $"{part.Length} bytes at {offset}");
                        break;
                }
            }
            var all = new byte[model.Length];
            Assert.Equal(0, DiskIo.Read(disk, 0, all));
            Assert.True(model.AsSpan().SequenceEqual(all));
        }
    }

    private void AssertConverts(string path, byte[] model)
    {
        var raw = Path.Combine(_folder, "converted");
        Qcow2Image.QemuImg("convert", "-O", "raw", path, raw);
        Assert.True(model.AsSpan().SequenceEqual(File.ReadAllBytes(raw)));
    }
}
