using System.Text;
using Exitless.Vmm.Devices;
using Exitless.Vmm.Virtio;
using Microsoft.Extensions.Time.Testing;

namespace Exitless.Vmm.Tests.Virtio;

/// <summary>Entropy and console.</summary>
public sealed class SmallDeviceTests
{
    private const ulong Data = 0x20_0000;

    [Fact]
    public void Random_numbers_come_at_a_bounded_rate()
    {
        var time = new FakeTimeProvider();
        using var bus = new ScriptedBus(new VirtioEntropy(time));
        var driver = new Driver(bus);
        var got = 0;
        for (var i = 0; i < 40; i++)
        {
            driver.Chain(0, 0, (Data, 8192, true));
            driver.Offer(0, 0);
            bus.Serve();
            if (driver.UsedCount(0) == 0)
                break;
            var (_, written) = driver.Take(0);
            Assert.InRange(written, 1u, (uint)VirtioEntropy.MostBytes);
            got += (int)written;
        }
        Assert.Equal(VirtioEntropy.Burst, got);
        Assert.True(driver.Memory(Data, 4096).ToArray().Distinct().Count() > 100);
        Assert.InRange(bus.Device.WaitMilliseconds, 1, 1000);
        time.Advance(TimeSpan.FromSeconds(1));
        bus.Device.ServeTime();
        Assert.Equal((uint)VirtioEntropy.MostBytes, driver.Take(0).Written);
        Assert.Equal(-1, bus.Device.WaitMilliseconds);
    }

    [Fact]
    public void The_console_writes_to_the_ring_and_takes_what_is_typed()
    {
        var ring = new ConsoleRing(() => { });
        var console = new VirtioConsole(ring);
        using var bus = new ScriptedBus(console);
        Assert.False(console.IsOpen);
        var driver = new Driver(bus);
        Assert.True(console.IsOpen);
        "hello, "u8.CopyTo(driver.Memory(Data, 7));
        "world"u8.CopyTo(driver.Memory(Data + 100, 5));
        driver.Chain(1, 0, (Data, 7, false), (Data + 100, 5, false));
        driver.Offer(1, 0);
        bus.Serve();
        Assert.Equal((0u, 0u), driver.Take(1));
        var bytes = new byte[ring.End];
        long offset = 0;
        ring.Read(ref offset, bytes);
        Assert.Equal("hello, world", Encoding.ASCII.GetString(bytes));

        Assert.True(console.TryReceive("ls\n"u8));
        driver.Chain(0, 0, (Data, 2, true));
        driver.Chain(0, 2, (Data + 2, 64, true));
        driver.Offer(0, 0);
        driver.Offer(0, 2);
        bus.Serve();
        Assert.Equal((0u, 2u), driver.Take(0));
        Assert.Equal((2u, 1u), driver.Take(0));
        Assert.Equal("ls\n", Encoding.ASCII.GetString(driver.Memory(Data, 3)));
        Assert.True(console.TryReceive(new byte[VirtioConsole.InputRoom]));
        Assert.False(console.TryReceive("x"u8));
    }

    [Fact]
    public void Of_more_than_the_ring_holds_the_last_bytes_stay()
    {
        var ring = new ConsoleRing(() => { });
        ring.Write("abc"u8);
        ring.Write(new byte[ConsoleRing.Capacity * 2]);
        ring.Write("xyz"u8);
        Assert.Equal((ConsoleRing.Capacity * 2) + 6, ring.End);
        var last = new byte[3];
        var offset = ring.End - 3;
        Assert.Equal(3, ring.Read(ref offset, last));
        Assert.Equal("xyz", Encoding.ASCII.GetString(last));
    }

    [Theory]
    [InlineData("entropy")]
    [InlineData("console")]
    public void Any_descriptors_at_all_neither_throw_nor_allocate(string kind)
    {
        using VirtioDevice device = kind == "entropy" ? new VirtioEntropy(TimeProvider.System) : new VirtioConsole(new ConsoleRing(() => { }));
        using var bus = new ScriptedBus(device);
        AnyDescriptors.Sample(bus, device.Queues.Length);
    }
}
