using CsCheck;

namespace Exitless.Vmm.Tests.Virtio;

/// <summary>Puts any descriptors before a device: it neither throws nor allocates nor goes on for ever, and a reset makes it usable again.</summary>
internal static class AnyDescriptors
{
    private const ulong RamEnd = 4 << 20;

    private static readonly Gen<(ulong Address, uint Length, int Flags, int Next)> Entry = Gen.Select(
        Gen.OneOf(Gen.ULong, Gen.ULong[0, RamEnd + 4096], Gen.Const(0x8000ul), Gen.Const(0x1000ul)),
        Gen.OneOf(Gen.UInt, Gen.UInt[0, 5000], Gen.UInt[0, 20].Select(n => n * 16)),
        Gen.OneOf(Gen.Int[0, 7], Gen.Int[0, ushort.MaxValue]),
        Gen.OneOf(Gen.Int[0, 7], Gen.Int[0, ushort.MaxValue]));

    /// <param name="bus">The device.</param>
    /// <param name="queues">How many of its queues get requests.</param>
    /// <param name="between">Called before each round.</param>
    public static void Sample(ScriptedBus bus, int queues, Action<byte[]>? between = null)
    {
        var allocated = 0L;
        Gen.Select(Entry.Array[8], Gen.Byte.Array[64], Gen.Int[0, queues - 1], Gen.OneOf(Gen.Int[0, 8], Gen.Int[0, ushort.MaxValue])).Sample(
            (entries, header, queue, head) =>
            {
                var driver = new Driver(bus);
                for (var i = 0; i < queues; i++)
                    driver.Memory(Driver.Available(i), 0x2000).Clear();
                bus.Serve();
                header.CopyTo(driver.Memory(0x1000, 64));
                for (var i = 0; i < entries.Length; i++)
                {
                    driver.Descriptor(queue, i, entries[i].Address, entries[i].Length, entries[i].Flags, entries[i].Next);
                    driver.Entry(0x8000 + ((ulong)i * 16), entries[i].Address, entries[i].Length, entries[i].Flags, entries[i].Next);
                }
                between?.Invoke(header);
                driver.Offer(queue, head);
                var before = GC.GetAllocatedBytesForCurrentThread();
                bus.Device.Serve(queue);
                allocated += GC.GetAllocatedBytesForCurrentThread() - before;
                driver.Status = 0;
                Assert.False(driver.NeedsReset);
            },
            iter: FuzzRuns.Count, threads: 1);
        // What the runtime makes once, when a path is taken first; anything a request made would be there thousands of times.
        Assert.InRange(allocated, 0, FuzzRuns.Count);
    }
}
