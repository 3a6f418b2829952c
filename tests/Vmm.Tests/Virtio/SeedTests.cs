using System.Buffers.Binary;
using System.Text;
using Exitless.Linux;
using Exitless.Vmm.Control;
using Exitless.Vmm.Seed;

namespace Exitless.Vmm.Tests.Virtio;

/// <summary>The cloud-init disk, read back by the rules of ECMA-119.</summary>
public sealed class SeedTests
{
    [Fact]
    public void The_image_has_the_label_and_the_files()
    {
        using var file = NoCloudSeed.Make(TinyKernel.Config() with { Name = "Web 1" }, new SeedConfig { UserData = "#cloud-config\n" + new string('x', 5000), NetworkConfig = "version: 2\n" });
        var image = new byte[Files.Size(file)];
        Files.ReadExactlyAt(file, image, 0);
        var volume = image.AsSpan(16 * 2048);
        Assert.Equal("CD001", Encoding.ASCII.GetString(volume.Slice(1, 5)));
        Assert.Equal("CIDATA", Encoding.ASCII.GetString(volume.Slice(40, 32)).TrimEnd());
        Assert.Equal(image.Length / 2048, BinaryPrimitives.ReadInt32LittleEndian(volume[80..]));
        Assert.Equal(image.Length / 2048, BinaryPrimitives.ReadInt32BigEndian(volume[84..]));
        var files = ReadFiles(image, BinaryPrimitives.ReadInt32LittleEndian(volume[158..]));
        Assert.Equal(["META-DATA.;1", "NETWORK-CONFIG.;1", "USER-DATA.;1"], files.Keys);
        Assert.Equal("version: 2\n", files["NETWORK-CONFIG.;1"]);
        Assert.Equal("#cloud-config\n" + new string('x', 5000), files["USER-DATA.;1"]);
        Assert.Contains("local-hostname: web-1\n", files["META-DATA.;1"], StringComparison.Ordinal);
    }

    [Fact]
    public void Too_much_is_refused()
    {
        var problem = Assert.Throws<VmmProblemException>(() => NoCloudSeed.Check(new SeedConfig { UserData = new string('x', NoCloudSeed.MostBytes + 1) }));
        Assert.Equal(("seed-too-large", "seed"), (problem.Code, problem.Field));
    }

    private static SortedDictionary<string, string> ReadFiles(byte[] image, int root)
    {
        var files = new SortedDictionary<string, string>(StringComparer.Ordinal);
        for (var at = root * 2048; image[at] != 0; at += image[at])
        {
            var name = Encoding.ASCII.GetString(image, at + 33, image[at + 32]);
            if (name.Length > 1)
                files.Add(name, Encoding.UTF8.GetString(image, BinaryPrimitives.ReadInt32LittleEndian(image.AsSpan(at + 2)) * 2048, BinaryPrimitives.ReadInt32LittleEndian(image.AsSpan(at + 10))));
        }
        return files;
    }
}
