using System.Globalization;
using System.Text;
using Exitless.Lab.Initramfs;

namespace Exitless.Lab.Tests.Initramfs;

public sealed class CpioArchiveTests
{
    private sealed record Entry(string Name, uint Mode, uint Inode, byte[] Content, uint Major, uint Minor);

    // Reads as the kernel's unpacker does: header, name padded to 4, content padded to 4.
    private static List<Entry> Read(byte[] archive)
    {
        var entries = new List<Entry>();
        for (var at = 0; ;)
        {
            Assert.Equal("070701", Encoding.ASCII.GetString(archive, at, 6));
            var start = at;
            uint Field(int n) => uint.Parse(Encoding.ASCII.GetString(archive, start + 6 + 8 * n, 8), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
            var name = Encoding.UTF8.GetString(archive, at + 110, (int)Field(11) - 1);
            Assert.Equal(0, archive[at + 110 + (int)Field(11) - 1]);
            at = (at + 110 + (int)Field(11) + 3) & ~3;
            var content = archive.AsSpan(at, (int)Field(6)).ToArray();
            at = (at + content.Length + 3) & ~3;
            if (name == "TRAILER!!!")
            {
                Assert.Equal(archive.Length, at);
                return entries;
            }
            entries.Add(new Entry(name, Field(1), Field(0), content, Field(9), Field(10)));
        }
    }

    private static List<Entry> Make(Action<CpioArchive> fill)
    {
        using var stream = new MemoryStream();
        using (var archive = new CpioArchive(stream))
            fill(archive);
        return Read(stream.ToArray());
    }

    [Fact]
    public void Files_links_and_devices_come_back_with_their_folders_before_them()
    {
        using var folder = new TemporaryFolder();
        var file = folder.Write("copied", "12345");
        var entries = Make(a =>
        {
            a.AddText("/etc/motd", 0x1A4, "hello\n");
            a.AddLink("bin/sh", "/bin/busybox");
            a.AddCharacterDevice("/dev/console", 0x180, 5, 1);
            a.AddCopy("/etc/copied", 0x1ED, file);
            a.AddFolder("/etc");
            a.AddFile("/empty", 0x1A4, []);
        });
        Assert.Equal(["etc", "etc/motd", "bin", "bin/sh", "dev", "dev/console", "etc/copied", "empty"], entries.Select(e => e.Name));
        Assert.Equal([0x41EDu, 0x81A4, 0x41ED, 0xA1FF, 0x41ED, 0x2180, 0x81ED, 0x81A4], entries.Select(e => e.Mode));
        Assert.Equal("hello\n", Encoding.UTF8.GetString(entries[1].Content));
        Assert.Equal("/bin/busybox", Encoding.UTF8.GetString(entries[3].Content));
        Assert.Equal((5u, 1u), (entries[5].Major, entries[5].Minor));
        Assert.Equal("12345", Encoding.UTF8.GetString(entries[6].Content));
        Assert.Equal(entries.Count, entries.Select(e => e.Inode).Distinct().Count());
    }

    [Fact]
    public void Every_length_is_padded_right()
    {
        var entries = Make(a =>
        {
            for (var length = 0; length < 9; length++)
                a.AddFile("/" + new string('n', length + 1), 0x1A4, new byte[length]);
        });
        Assert.Equal(Enumerable.Range(0, 9), entries.Select(e => e.Content.Length));
    }

    [Theory]
    [InlineData("/")]
    [InlineData("/taken")]
    [InlineData("/a/../b")]
    public void A_path_that_cannot_be_is_named(string path)
        => Make(a =>
        {
            a.AddText("/taken", 0x1A4, "");
            Assert.Contains(path, Assert.Throws<LabException>(() => a.AddText(path, 0x1A4, "")).Problem);
        });

    [Fact]
    public void Equal_input_gives_equal_bytes()
    {
        byte[] Bytes()
        {
            using var stream = new MemoryStream();
            using (var archive = new CpioArchive(stream))
                archive.AddText("/a/b", 0x1A4, "x");
            return stream.ToArray();
        }
        Assert.Equal(Bytes(), Bytes());
    }
}
