using System.Text;
using Exitless.Linux;
using Exitless.Vmm.Control;
using Exitless.Vmm.Disks;

namespace Exitless.Vmm.Tests.Virtio;

/// <summary>The disk device over a real file.</summary>
public sealed class BlockTests
{
    private const int Bytes = 1 << 20;
    private const byte Ok = 0, Failed = 1, Unsupported = 2;

    [Fact]
    public void What_is_written_is_in_the_file_and_read_back()
    {
        using var file = MemoryFile.Create("disk", Bytes);
        using var machine = new BlockMachine(Files.Duplicate(file));
        var data = Enumerable.Range(0, 8192).Select(i => (byte)(i * 7)).ToArray();
        Assert.Equal(Ok, machine.Write(5, data));
        Assert.Equal(data, machine.Read(5, 8192));
        var there = new byte[8192];
        Files.ReadExactlyAt(file, there, 5 * 512);
        Assert.Equal(data, there);
        Assert.Equal((Ok, 1u), machine.Ask(4, 0, 0, toDevice: true));
    }

    [Fact]
    public void The_guest_finds_size_and_serial_number()
    {
        using var machine = new BlockMachine(MemoryFile.Create("disk", Bytes));
        Assert.Equal(2048ul, machine.Bus.Read(0x2000, 8));
        Assert.Equal(512ul, machine.Bus.Read(0x2014, 4));
        Assert.Equal((Ok, 21u), machine.Ask(8, 0, 20, toDevice: false));
        Assert.Equal("serial-1", Encoding.ASCII.GetString(machine.Driver.Memory(BlockMachine.Data, 20)).TrimEnd('\0'));
    }

    [Theory]
    [InlineData(0u, 2048ul, 512u)]
    [InlineData(0u, 2047ul, 1024u)]
    [InlineData(0u, ulong.MaxValue, 512u)]
    [InlineData(0u, 0ul, 100u)]
    public void A_read_that_is_not_in_the_disk_fails_alone(uint kind, ulong sector, uint bytes)
    {
        using var machine = new BlockMachine(MemoryFile.Create("disk", Bytes));
        Assert.Equal((Failed, 1u), machine.Ask(kind, sector, bytes, toDevice: false));
        Assert.Equal((Failed, 1u), machine.Ask(1, sector, bytes, toDevice: true));
        Assert.False(machine.Driver.NeedsReset);
        Assert.Equal(512, machine.Read(0, 512).Length);
    }

    [Fact]
    public void An_unknown_request_is_answered_unsupported()
    {
        using var machine = new BlockMachine(MemoryFile.Create("disk", Bytes));
        Assert.Equal((Unsupported, 1u), machine.Ask(77, 0, 512, toDevice: true));
    }

    [Fact]
    public void A_read_only_disk_says_so_and_takes_no_writes()
    {
        using var machine = new BlockMachine(MemoryFile.Create("disk", Bytes), isReadOnly: true);
        Assert.NotEqual(0ul, machine.Driver.Offered & 1 << 5);
        Assert.Equal(0ul, machine.Driver.Offered & (1 << 13 | 1 << 14));
        Assert.Equal(Failed, machine.Write(0, new byte[512]));
        Assert.Equal(Failed, machine.Range(13, 0, 1, 0));
    }

    [Fact]
    public void Discarded_and_zeroed_sectors_read_as_zeros()
    {
        using var file = MemoryFile.Create("disk", Bytes);
        using var machine = new BlockMachine(Files.Duplicate(file));
        var ones = new byte[16 * 512];
        ones.AsSpan().Fill(1);
        machine.Write(0, ones);
        Assert.Equal(Ok, machine.Range(11, 0, 8, 0));
        Assert.Equal(Ok, machine.Range(13, 9, 2, 1));
        Assert.Equal(Ok, machine.Range(13, 12, 2, 0));
        byte[] expected = [.. Enumerable.Range(0, 16).SelectMany(s => Enumerable.Repeat((byte)(s is < 8 or 9 or 10 or 12 or 13 ? 0 : 1), 512))];
        Assert.Equal(expected, machine.Read(0, 16 * 512));
        Assert.Equal(Failed, machine.Range(11, 2040, 9, 0));
        Assert.Equal(Failed, machine.Range(11, 0, uint.MaxValue, 0));
        Assert.Equal(Unsupported, machine.Range(13, 0, 1, 2));
        Assert.Equal(Unsupported, machine.Range(11, 0, 1, 1));
    }

    [Fact]
    public void A_host_that_fails_is_an_error_of_the_request_and_a_driver_without_flush_gets_lasting_writes()
    {
        var disk = new MemoryDisk(Bytes);
        using var machine = new BlockMachine(disk, features: ~(1ul << 9));
        var before = disk.Flushes;
        Assert.Equal(Ok, machine.Write(0, new byte[512]));
        Assert.Equal(before + 1, disk.Flushes);
        disk.Fails = true;
        Assert.Equal(Failed, machine.Write(0, new byte[512]));
        Assert.Equal((Failed, 1u), machine.Ask(0, 0, 512, toDevice: false));
        Assert.Equal((Failed, 1u), machine.Ask(4, 0, 0, toDevice: true));
    }

    [Fact]
    public void Requests_allocate_nothing()
    {
        using var machine = new BlockMachine(MemoryFile.Create("disk", Bytes));
        for (var round = 0; round < 2; round++)
        {
            for (uint kind = 0; kind < 2; kind++)
            {
                machine.WriteHeader(kind, 8);
                machine.Driver.Chain(0, 0, (BlockMachine.Header, 16, false), (BlockMachine.Data, 4096, kind == 0), (BlockMachine.Data + 8192, 4096, kind == 0), (BlockMachine.Status, 1, true));
                machine.Driver.Offer(0, 0);
                var before = GC.GetAllocatedBytesForCurrentThread();
                machine.Bus.Device.Serve(0);
                var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
                machine.Driver.Take(0);
                // The first round may load what the runtime has not loaded yet.
                if (round == 1)
                    Assert.Equal(0, allocated);
            }
        }
    }

    [Theory]
    [InlineData("no bytes", "disk-empty")]
    [InlineData("odd", "disk-not-sectors")]
    [InlineData("a folder", "disk-unreadable")]
    [InlineData("opened for reading", "disk-not-writable")]
    public void A_file_that_cannot_be_a_disk_is_refused_in_words(string what, string code)
    {
        using var file = what switch
        {
            "no bytes" => MemoryFile.Create("disk", 0),
            "odd" => MemoryFile.Create("disk", 1000),
            "a folder" => Files.Open("/proc", OpenMode.Read),
            _ => Files.Open("/proc/self/exe", OpenMode.Read),
        };
        var problem = Assert.Throws<VmmProblemException>(() => DiskOpening.Open(new DiskConfig { Id = "d" }, [file], "disks[2]"));
        Assert.Equal((code, "disks[2]"), (problem.Code, problem.Field));
    }

    [Fact]
    public void Ids_and_serial_numbers_are_checked_before_anything_is_opened()
    {
        Assert.Equal("disk-id-invalid", Refused(new DiskConfig { Id = "a b" }));
        Assert.Equal("disk-id-invalid", Refused(new DiskConfig { Id = new string('a', 21) }));
        Assert.Equal("disk-serial-invalid", Refused(new DiskConfig { Id = "a", Serial = "é" }));
        Assert.Equal("disk-twice", Refused(new DiskConfig { Id = "a" }, new DiskConfig { Id = "a" }));
        Assert.Equal("disk-chain-too-long", Refused(new DiskConfig { Id = "a", BackingFormats = new DiskFormat[17] }));
        DiskOpening.Check([new DiskConfig { Id = "a" }, new DiskConfig { Id = "b", Serial = "x y" }]);
    }

    private static string Refused(params DiskConfig[] disks) => Assert.Throws<VmmProblemException>(() => DiskOpening.Check(disks)).Code;
}
