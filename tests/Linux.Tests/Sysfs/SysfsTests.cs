using Exitless.Linux.Procfs;
using Exitless.Linux.Sysfs;

namespace Exitless.Linux.Tests.Sysfs;

public sealed class SysfsTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory();

    public void Dispose() => _folder.Delete(recursive: true);

    [Theory]
    [InlineData("0-3,8", new uint[] { 0, 1, 2, 3, 8 })]
    [InlineData("", new uint[0])]
    [InlineData(null, new uint[0])]
    [InlineData("5", new uint[] { 5 })]
    [InlineData("x,2-y,7", new uint[] { 7 })]
    public void CPU_lists(string? text, uint[] cpus) => Assert.Equal(cpus, CpuList.Parse(text));

    [Theory]
    [InlineData("0000:01:10.0", true)]
    [InlineData("ffff:ff:1f.7", true)]
    [InlineData("0000:01:10.8", false)]
    [InlineData("0000:01:1G.0", false)]
    [InlineData("0000:0A:10.0", false)]
    [InlineData("01:10.0", false)]
    [InlineData("0000:01:10.00", false)]
    public void Addresses(string text, bool is_one) => Assert.Equal(is_one, PciFunction.IsAddress(text));

    [Fact]
    public void Links_within_links_are_resolved()
    {
        Directory.CreateDirectory(Below("devices/pci0/0000:00:04.0/net/eth0"));
        Directory.CreateDirectory(Below("class/net"));
        File.CreateSymbolicLink(Below("class/net/eth0"), "../../devices/pci0/0000:00:04.0/net/eth0");
        File.CreateSymbolicLink(Below("devices/pci0/0000:00:04.0/net/eth0/device"), "../..");
        Assert.EndsWith("/devices/pci0/0000:00:04.0", SysfsFile.RealPath(Below("class/net/eth0/device")));
        Assert.Null(SysfsFile.RealPath(Below("class/net/eth1")));
    }

    [Fact]
    public void An_attribute_is_written_in_place_and_never_made()
    {
        File.WriteAllText(Below("numvfs"), "0");
        SysfsFile.Write(Below("numvfs"), "2");
        Assert.Equal(2, SysfsFile.Number(Below("numvfs")));
        Assert.ThrowsAny<IOException>(() => SysfsFile.Write(Below("missing"), "1"));
        Assert.False(File.Exists(Below("missing")));
    }

    [Fact]
    public void A_mount_point_with_a_space_and_the_longest_match()
    {
        Directory.CreateDirectory(Below("proc/self"));
        File.WriteAllText(Below("proc/self/mountinfo"), "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 8:2 / /my\\040data rw,relatime shared:1 master:2 - xfs /dev/sda2 rw\nnonsense\n");
        var mounts = MountTable.Read(new HostRoot(_folder.FullName));
        Assert.Equal(2, mounts.Count);
        Assert.Equal("/dev/sda2", MountTable.Of(mounts, "/my data/swap")!.Source);
        Assert.Equal("/dev/sda1", MountTable.Of(mounts, "/my database")!.Source);
    }

    private string Below(string path) => Path.Combine(_folder.FullName, path);
}
