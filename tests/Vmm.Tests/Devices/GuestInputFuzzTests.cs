using CsCheck;
using Exitless.Linux;
using Exitless.Vmm.Devices;
using Exitless.Vmm.Pci;

namespace Exitless.Vmm.Tests.Devices;

/// <summary>Anything that a guest can write to the serial port and to configuration space: nothing throws, answers stay within their size, and no access allocates.</summary>
[Collection("alone")]
public sealed class GuestInputFuzzTests
{
    private const int Batch = 50;
    private static readonly int[] Sizes = [1, 2, 4];
    private static readonly Gen<(int Kind, int Place, int Size, uint Value)[]> Acts =
        Gen.Select(Gen.Int[0, 3], Gen.Int[0, ConfigSpace.Bytes - 1], Gen.Int[0, 2].Select(i => Sizes[i]), Gen.UInt).Array[Batch];

    [Fact]
    public void The_serial_port_takes_anything()
    {
        using var interrupt = new EventFd();
        var output = new ConsoleRing(() => { });
        var port = new SerialPort(output, interrupt);
        byte[] typed = [1, 2, 3];
        Fuzz((kind, place, size, value) =>
        {
            if (kind == 3 && (value & 7) == 0)
                port.TryReceive(typed);
            else if ((kind & 1) == 0)
                port.WritePort(place % SerialPort.Ports, size, value);
            else
                Assert.True(port.ReadPort(place % SerialPort.Ports, size) <= uint.MaxValue >> (32 - (8 * size)) || size > 1);
        });
        Assert.True(output.End > 0);
    }

    [Fact]
    public void Configuration_space_takes_anything_and_answers_within_the_size()
    {
        var bus = new PciBus();
        var ports = new PciPorts(bus, new ResetControl(new GuestEnd()));
        // The first reset is taken down in words; all further ones are not.
        ports.WritePort(ResetControl.Port - PciPorts.First, 1, ResetControl.FullReset);
        Fuzz((kind, place, size, value) =>
        {
            switch (kind)
            {
                case 0:
                    ports.WritePort(place % PciPorts.Count, size, value | (value << 31));
                    break;
                case 1:
                    ports.ReadPort(place % PciPorts.Count, size);
                    break;
                case 2:
                    bus.WriteConfig(value & 0x1ff, place, size, value);
                    break;
                default:
                    var read = bus.ReadConfig(0, place & ~(size - 1), size);
                    Assert.True(size == 4 || read < 1u << (8 * size));
                    break;
            }
        });
        Assert.Equal(0x0008_1b36u, bus.ReadConfig(0, 0, 4));
    }

    [Fact]
    public void Emulated_bits_stay_what_they_are_unless_the_guest_may_write_them() =>
        Gen.Select(Gen.UInt, Gen.UInt, Gen.UInt, Gen.Int[0, 2], Gen.Int[0, 3], Gen.UInt, Gen.UInt).Sample(
            (mask, value, writable, sizeIndex, lane, written, device) =>
            {
                var space = new ConfigSpace();
                space.Patch(0x40, mask, value, writable);
                var size = Sizes[sizeIndex];
                var offset = 0x40 + (lane & ~(size - 1));
                var reaches = space.Write(offset, size, written);
                var lanes = ConfigSpace.Lanes(offset, size);
                var mine = mask & writable & lanes;
                Assert.Equal((value & mask & ~mine) | (written << (8 * (offset & 3)) & mine), space.Value(0x40));
                Assert.Equal((lanes & ~mask) != 0, reaches);
                Assert.Equal((device & ~mask) | (space.Value(0x40) & mask), space.Merge(0x40, 4, device));
            },
            iter: FuzzRuns.Count, threads: 1);

    /// <summary>Each run is a batch of accesses; they may not allocate.</summary>
    private static void Fuzz(Action<int, int, int, uint> access)
    {
        access(0, 0, 1, 0);
        access(3, 0, 1, 0);
        var allocated = 0L;
        Acts.Sample(
            acts =>
            {
                var before = GC.GetAllocatedBytesForCurrentThread();
                foreach (var (kind, place, size, value) in acts)
                    access(kind, place, size, value);
                allocated += GC.GetAllocatedBytesForCurrentThread() - before;
            },
            iter: FuzzRuns.Count, threads: 1);
        // What the runtime makes once, when a path is taken first; anything an access made would be there thousands of times.
        Assert.InRange(allocated, 0, FuzzRuns.Count);
    }
}
