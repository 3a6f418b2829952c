using CsCheck;
using Exitless.Vmm.Virtio;

namespace Exitless.Vmm.Tests.Virtio;

/// <summary>What a guest may put into its rings: all that is allowed works, and what is not stops the device until it is reset.</summary>
public sealed class QueueTests
{
    private const ulong RamEnd = 4 << 20;

    [Fact]
    public void A_request_may_be_scattered_and_lie_in_an_indirect_table()
    {
        using var machine = new BlockMachine(new MemoryDisk(1 << 20));
        machine.WriteHeader(1, 3);
        machine.Driver.Memory(0x30_0000, 512).Fill(7);
        machine.Driver.Entry(0x8000, BlockMachine.Header, 10, Driver.Next, 1);
        machine.Driver.Entry(0x8010, BlockMachine.Header + 10, 6, Driver.Next, 2);
        machine.Driver.Entry(0x8020, 0x30_0000, 100, Driver.Next, 4);
        machine.Driver.Entry(0x8040, 0x30_0064, 412, Driver.Next, 5);
        machine.Driver.Entry(0x8050, BlockMachine.Status, 1, Driver.WriteFlag);
        machine.Driver.Descriptor(0, 0, 0x8000, 6 * 16, Driver.IndirectFlag);
        Assert.Equal((0, 1u), machine.Send());
        Assert.Equal(Enumerable.Repeat((byte)7, 512), machine.Read(3, 512));
    }

    [Theory]
    [InlineData("beyond RAM")]
    [InlineData("across the end of RAM")]
    [InlineData("address wraps")]
    [InlineData("next beyond the table")]
    [InlineData("circle")]
    [InlineData("readable after writable")]
    [InlineData("indirect of an odd length")]
    [InlineData("indirect of no length")]
    [InlineData("indirect beyond RAM")]
    [InlineData("indirect too long")]
    [InlineData("indirect inside indirect")]
    [InlineData("indirect with next")]
    [InlineData("more than 2 GiB")]
    [InlineData("no room for a status")]
    [InlineData("short header")]
    public void A_bad_chain_stops_the_device_until_the_driver_resets_it(string what)
    {
        using var machine = new BlockMachine(new MemoryDisk(1 << 20));
        var driver = machine.Driver;
        driver.UseMsix();
        driver.Chain(0, 0, (BlockMachine.Header, 16, false), (BlockMachine.Data, 512, true), (BlockMachine.Status, 1, true));
        switch (what)
        {
            case "beyond RAM":
                driver.Descriptor(0, 1, RamEnd, 512, Driver.WriteFlag | Driver.Next, 2);
                break;
            case "across the end of RAM":
                driver.Descriptor(0, 1, RamEnd - 511, 512, Driver.WriteFlag | Driver.Next, 2);
                break;
            case "address wraps":
                driver.Descriptor(0, 1, ulong.MaxValue - 100, 512, Driver.WriteFlag | Driver.Next, 2);
                break;
            case "next beyond the table":
                driver.Descriptor(0, 1, BlockMachine.Data, 512, Driver.WriteFlag | Driver.Next, Driver.Entries);
                break;
            case "circle":
                driver.Descriptor(0, 1, BlockMachine.Data, 0, Driver.WriteFlag | Driver.Next, 1);
                break;
            case "readable after writable":
                driver.Descriptor(0, 2, BlockMachine.Status, 1, 0);
                break;
            case "indirect of an odd length":
                driver.Descriptor(0, 0, 0x8000, 17, Driver.IndirectFlag);
                break;
            case "indirect of no length":
                driver.Descriptor(0, 0, 0x8000, 0, Driver.IndirectFlag);
                break;
            case "indirect beyond RAM":
                driver.Descriptor(0, 0, RamEnd - 16, 32, Driver.IndirectFlag);
                break;
            case "indirect too long":
                driver.Descriptor(0, 0, 0x8000, 16 * (SplitQueue.MostEntries + 1), Driver.IndirectFlag);
                break;
            case "indirect inside indirect":
                driver.Entry(0x8000, 0x8000, 16, Driver.IndirectFlag);
                driver.Descriptor(0, 0, 0x8000, 16, Driver.IndirectFlag);
                break;
            case "indirect with next":
                driver.Entry(0x8000, BlockMachine.Header, 16, 0);
                driver.Descriptor(0, 0, 0x8000, 16, Driver.IndirectFlag | Driver.Next, 1);
                break;
            case "more than 2 GiB":
                driver.Descriptor(0, 0, 0, uint.MaxValue, Driver.Next, 1);
                break;
            case "no room for a status":
                driver.Chain(0, 0, (BlockMachine.Header, 16, false));
                break;
            default:
                driver.Chain(0, 0, (BlockMachine.Header, 15, false), (BlockMachine.Status, 1, true));
                break;
        }
        driver.Offer(0, 0);
        machine.Bus.Serve();
        AssertStopped(machine);
    }

    [Fact]
    public void A_head_outside_the_table_and_an_index_that_runs_ahead_stop_the_device()
    {
        using var head = new BlockMachine(new MemoryDisk(1 << 20));
        head.Driver.UseMsix();
        head.Driver.Offer(0, Driver.Entries);
        head.Bus.Serve();
        AssertStopped(head);

        using var ahead = new BlockMachine(new MemoryDisk(1 << 20));
        ahead.Driver.UseMsix();
        ahead.Driver.Memory(Driver.Available(0) + 2, 2)[0] = Driver.Entries + 1;
        ahead.Driver.Notify(0);
        ahead.Bus.Serve();
        AssertStopped(ahead);
    }

    [Theory]
    [InlineData(0x20, RamEnd - 16)]
    [InlineData(0x20, 8ul)]
    [InlineData(0x28, RamEnd)]
    [InlineData(0x28, 0x8001ul)]
    [InlineData(0x30, ulong.MaxValue - 3)]
    [InlineData(0x30, 0x8002ul)]
    [InlineData(0x18, 48ul)]
    public void Rings_that_are_not_ram_or_not_aligned_stop_the_device(int register, ulong value)
    {
        using var machine = new BlockMachine(new MemoryDisk(1 << 20));
        machine.Driver.Status = 0;
        machine.Driver.Status = 3;
        machine.Driver.Chosen = Driver.Version1;
        machine.Driver.Status = 0xb;
        machine.Bus.Write(0x16, 2, 0);
        machine.Bus.Write(0x18, 2, 64);
        machine.Bus.Write(0x20, 8, Driver.Table(0));
        machine.Bus.Write(0x28, 8, Driver.Available(0));
        machine.Bus.Write(0x30, 8, Driver.Used(0));
        machine.Bus.Write(register, register == 0x18 ? 2 : 8, value);
        machine.Bus.Write(0x1c, 2, 1);
        machine.Driver.Status = 0xf;
        Assert.True(machine.Driver.NeedsReset);
        _ = new Driver(machine.Bus);
        Assert.False(machine.Driver.NeedsReset);
    }

    [Fact]
    public void Any_descriptors_at_all_neither_throw_nor_allocate_nor_go_on_for_ever()
    {
        var entry = Gen.Select(
            Gen.OneOf(Gen.ULong, Gen.ULong[0, RamEnd + 4096], Gen.Const(BlockMachine.Header), Gen.Const(0x8000ul)),
            Gen.OneOf(Gen.UInt, Gen.UInt[0, 4096], Gen.UInt[0, 20].Select(n => n * 16)),
            Gen.OneOf(Gen.Int[0, 7], Gen.Int[0, ushort.MaxValue]),
            Gen.OneOf(Gen.Int[0, 7], Gen.Int[0, ushort.MaxValue]));
        var input = Gen.Select(entry.Array[8], Gen.UInt[0, 14], Gen.OneOf(Gen.ULong[0, 3000], Gen.ULong), Gen.OneOf(Gen.Int[0, 8], Gen.Int[0, ushort.MaxValue]));
        using var machine = new BlockMachine(new MemoryDisk(1 << 20));
        var allocated = 0L;
        input.Sample(
            (entries, kind, sector, head) =>
            {
                var driver = new Driver(machine.Bus);
                machine.Driver.Memory(Driver.Available(0), 0x2000).Clear();
                machine.Bus.Serve();
                machine.WriteHeader(kind, sector);
                for (var i = 0; i < entries.Length; i++)
                {
                    driver.Descriptor(0, i, entries[i].Item1, entries[i].Item2, entries[i].Item3, entries[i].Item4);
                    driver.Entry(0x8000 + ((ulong)i * 16), entries[i].Item1, entries[i].Item2, entries[i].Item3, entries[i].Item4);
                }
                driver.Offer(0, head);
                var before = GC.GetAllocatedBytesForCurrentThread();
                machine.Bus.Device.Serve(0);
                allocated += GC.GetAllocatedBytesForCurrentThread() - before;
                Assert.True(driver.NeedsReset || driver.UsedCount(0) == 1);
                driver.Status = 0;
            },
            iter: FuzzRuns.Count, threads: 1);
        // What the runtime makes once, when a path is taken first; anything a request made would be there thousands of times.
        Assert.InRange(allocated, 0, FuzzRuns.Count);
    }

    private static void AssertStopped(BlockMachine machine)
    {
        Assert.True(machine.Driver.NeedsReset);
        Assert.Equal(0, machine.Driver.UsedCount(0));
        // The configuration's vector, which is the first.
        machine.Bus.Kvm.Deliver();
        Assert.Equal(24, Assert.Single(machine.Bus.Kvm.Delivered).Key);
        machine.Driver.Memory(Driver.Available(0), 0x2000).Clear();
        var again = new Driver(machine.Bus);
        Assert.False(again.NeedsReset);
        machine.WriteHeader(0, 0);
        again.Chain(0, 0, (BlockMachine.Header, 16, false), (BlockMachine.Data, 512, true), (BlockMachine.Status, 1, true));
        again.Offer(0, 0);
        machine.Bus.Serve();
        Assert.Equal((0u, 513u), again.Take(0));
    }
}
