using Exitless.Lab.Cache;

namespace Exitless.Lab.Tests.Cache;

public sealed class PackageChoiceTests
{
    // Examples of Debian Policy 5.6.12 and of versions that the archive has had.
    [Theory]
    [InlineData("1.0~beta1~svn1245", "1.0~beta1")]
    [InlineData("1.0~beta1", "1.0")]
    [InlineData("6.12.9-1", "6.12.10-1")]
    [InlineData("6.12.90-2~bpo12+1", "6.12.90-2")]
    [InlineData("6.12.95-1~bpo12+1", "6.12.95-1")]
    [InlineData("9:1", "10:0.1")]
    [InlineData("99", "1:0")]
    [InlineData("1.2", "1.2-1")]
    [InlineData("1.2a", "1.2+")]
    [InlineData("7.2+dfsg-7+deb12u9", "7.2+dfsg-7+deb12u18")]
    public void Versions_are_ordered_as_debian_orders_them(string older, string newer)
    {
        Assert.True(new DebianVersion(older) < new DebianVersion(newer));
        Assert.True(new DebianVersion(newer) > new DebianVersion(older));
    }

    [Theory]
    [InlineData("0:1.2-3", "1.2-3")]
    [InlineData("1.02", "1.2")]
    public void Versions_may_be_written_in_more_than_one_way(string one, string other)
        => Assert.Equal(0, new DebianVersion(one).CompareTo(new DebianVersion(other)));

    [Fact]
    public void The_newest_general_image_of_the_series_is_taken()
    {
        // As `apt-cache show` prints it, cut short.
        const string shown = """
            Package: linux-image-6.12.9+deb12-amd64
            Source: linux-signed-amd64 (6.12.9+1~bpo12+1)
            Version: 6.12.9-1~bpo12+1
            Description: Linux 6.12 for 64-bit PCs (signed)
             The Linux kernel.

            Package: linux-image-6.12.43+deb12-amd64
            Version: 6.12.43-1~bpo12+1

            Package: linux-image-6.12.57+deb12-rt-amd64
            Version: 6.12.57-1~bpo12+1

            Package: linux-image-6.12.57+deb12-cloud-amd64
            Version: 6.12.57-1~bpo12+1

            Package: linux-image-6.12.57+deb12-amd64-unsigned
            Version: 6.12.57-1~bpo12+1

            Package: linux-image-6.16.3+deb13-amd64
            Version: 6.16.3-1

            """;
        Assert.Equal("linux-image-6.12.43+deb12-amd64", AptPackage.NewestKernel(AptPackage.Read(shown), "6.12").Name);
    }

    [Fact]
    public void An_archive_without_the_series_is_named()
        => Assert.Contains("6.12", Assert.Throws<LabException>(() => AptPackage.NewestKernel([], "6.12")).Problem);

    [Theory]
    [InlineData("12", "bookworm", "bookworm-backports")]
    [InlineData("13", "trixie", "trixie")]
    public void The_suite_follows_from_the_release(string number, string codename, string suite)
        => Assert.Equal(suite, DebianRelease.Read($"PRETTY_NAME=\"Debian GNU/Linux\"\nVERSION_ID=\"{number}\"\nVERSION_CODENAME={codename}\nID=debian\n").Suite);

    [Theory]
    [InlineData("PRETTY_NAME=\"Ubuntu 24.04\"\nVERSION_ID=\"24.04\"\nVERSION_CODENAME=noble\nID=ubuntu\n", "Ubuntu 24.04")]
    [InlineData("PRETTY_NAME='Debian GNU/Linux 11'\nVERSION_ID=\"11\"\nVERSION_CODENAME=bullseye\nID=debian\n", "Debian GNU/Linux 11")]
    [InlineData("", "an unknown system")]
    public void Another_system_is_refused_by_name(string text, string name)
        => Assert.Contains(name, Assert.Throws<LabException>(() => DebianRelease.Read(text)).Problem);
}
