using Exitless.Linux;
using Exitless.Vmm.Control;
using Exitless.Vmm.Virtio;

namespace Exitless.Vmm.Tests.Virtio;

/// <summary>The network link against one end of a pair of datagram sockets, which keeps packets apart as an interface does.</summary>
public sealed class NetTests
{
    private const ulong Data = 0x20_0000;

    [Fact]
    public void A_packet_of_the_guest_leaves_as_it_is()
    {
        using var wire = new Wire();
        using var bus = new ScriptedBus(wire.Device());
        var driver = new Driver(bus);
        var packet = Packet(200);
        packet.CopyTo(driver.Memory(Data, 200));
        driver.Chain(1, 0, (Data, 12, false), (Data + 12, 100, false), (Data + 112, 88, false));
        driver.Offer(1, 0);
        bus.Serve();
        Assert.Equal((0u, 0u), driver.Take(1));
        Assert.Equal(packet, wire.Take());
    }

    [Fact]
    public void A_packet_for_the_guest_goes_on_in_the_next_buffers()
    {
        using var wire = new Wire();
        using var bus = new ScriptedBus(wire.Device());
        var driver = new Driver(bus);
        var packet = Packet(3000);
        wire.Put(packet);
        for (var i = 0; i < 3; i++)
        {
            driver.Chain(0, i, (Data + ((ulong)i * 0x1000), 1200, true));
            driver.Offer(0, i);
        }
        bus.Serve();
        Assert.Equal((0u, 1200u), driver.Take(0));
        Assert.Equal((1u, 1200u), driver.Take(0));
        Assert.Equal((2u, 600u), driver.Take(0));
        byte[] got = [.. driver.Memory(Data, 1200), .. driver.Memory(Data + 0x1000, 1200), .. driver.Memory(Data + 0x2000, 600)];
        // The count of buffers is the device's to say.
        Assert.Equal(3, got[10]);
        (got[10], got[11]) = (packet[10], packet[11]);
        Assert.Equal(packet, got);
    }

    [Fact]
    public void A_packet_without_room_is_lost_and_the_next_one_comes()
    {
        using var wire = new Wire();
        using var bus = new ScriptedBus(wire.Device());
        var driver = new Driver(bus);
        wire.Put(Packet(3000));
        wire.Put(Packet(100));
        driver.Chain(0, 0, (Data, 1500, true));
        driver.Offer(0, 0);
        bus.Serve();
        Assert.Equal((0u, 100u), driver.Take(0));
        Assert.Equal(0, driver.UsedCount(0));
    }

    [Fact]
    public void The_guest_finds_its_address()
    {
        using var wire = new Wire();
        using var bus = new ScriptedBus(wire.Device());
        _ = new Driver(bus);
        Assert.Equal(0x5634_1200_5452ul, bus.Read(0x2000, 4) | bus.Read(0x2004, 2) << 32);
        Assert.Equal(0x1041_1af4u, bus.Config(0));
    }

    [Theory]
    [InlineData("52:54:00:12:34")]
    [InlineData("53:54:00:12:34:56")]
    [InlineData("00:00:00:00:00:00")]
    [InlineData("52-54-00-12-34-56")]
    [InlineData("52:54:00:12:34:5g")]
    public void What_is_no_address_is_refused(string mac) => Assert.Equal("net-mac-invalid", Assert.Throws<VmmProblemException>(() => VirtioNet.ParseMac(mac, "networks[0].mac")).Code);

    [Fact]
    public void What_is_no_tap_is_refused()
    {
        using var file = MemoryFile.Create("no tap", 4096);
        Assert.Equal("net-not-a-tap", Assert.Throws<VmmProblemException>(() => VirtioNet.Open(new NetConfig { Mac = "52:54:00:12:34:56" }, file, 0)).Code);
    }

    [Fact]
    public void Any_descriptors_at_all_neither_throw_nor_allocate()
    {
        using var wire = new Wire();
        using var bus = new ScriptedBus(wire.Device());
        AnyDescriptors.Sample(bus, 2, between: header =>
        {
            wire.Put(header);
            wire.Drain();
        });
    }

    private static byte[] Packet(int length) => [.. Enumerable.Range(0, length).Select(i => (byte)(i % 251))];

    private sealed class Wire : IDisposable
    {
        private readonly DatagramPair _pair = new();

        public VirtioNet Device() => new("net", _pair.First, VirtioNet.ParseMac("52:54:00:12:34:56", ""));

        public void Put(byte[] packet) => _pair.TryPut(packet);

        public byte[] Take() => _pair.TryTake() ?? throw new InvalidOperationException("No packet came.");

        public void Drain()
        {
            while (_pair.TryTake() is not null)
            {
            }
        }

        public void Dispose() => _pair.Dispose();
    }
}
