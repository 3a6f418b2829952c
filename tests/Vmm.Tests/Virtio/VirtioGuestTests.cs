using System.Text;
using Exitless.Linux;
using Exitless.Vmm.Control;
using Exitless.Vmm.Interrupts;
using Exitless.Vmm.Pci;
using Exitless.Vmm.Tests.Kvm;
using Exitless.Vmm.Virtio;

namespace Exitless.Vmm.Tests.Virtio;

/// <summary>Real guests of a few instructions that drive a disk: notices and interrupts go through KVM.</summary>
public sealed class VirtioGuestTests
{
    private const ulong Ecam = 0xe000_8000, Bar = 0xdff0_0000, LocalApic = 0xfee0_0000;
    private const ulong Ring = 0x20_0000, Header = 0x21_0000, Data = 0x22_0000, Status = 0x21_0100;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    [Fact]
    public async Task A_guest_reads_its_disk_and_gets_the_interrupt()
    {
        var file = MemoryFile.Create("disk", 1 << 20);
        Assert.Equal(11, Files.TryWriteAt(file, "from sector"u8, 3 * 512, out _));
        var folder = Directory.CreateTempSubdirectory("exitless").FullName;
        using var limit = new CancellationTokenSource(Limit);
        var server = VmmProcess.RunAsync(Path.Combine(folder, "s"), limit.Token);
        try
        {
            using var descriptors = new VmmDescriptors { Kvm = TinyKernel.OpenKvm(), Kernel = TinyKernel.File(TinyKernel.Image(Initialise().Bytes.Concat(Request().Bytes).ToArray())), Disks = [file] };
            await using var client = await VmmClient.ConnectAsync(Path.Combine(folder, "s"), limit.Token);
            await client.LaunchAsync(TinyKernel.Config() with { Disks = [new DiskConfig { Id = "root" }] }, descriptors, limit.Token);
            var output = new StringBuilder();
            await foreach (var e in client.EventsAsync(limit.Token))
            {
                if (e is VmmConsoleOutput o)
                    output.Append(Encoding.Latin1.GetString(o.Data.Span));
                else if (e is VmmEnded ended)
                    Assert.Equal(VmEndReason.PowerOff, ended.End.Reason);
            }
            Assert.Equal("\0from sector", output.ToString());
            await client.EndAsync(limit.Token);
        }
        finally
        {
            await limit.CancelAsync();
            await server;
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task No_notice_leaves_the_kernel()
    {
        CountingFunction? counting = null;
        using var guest = new TinyGuest(
            Initialise().Bytes.Concat(Request().Bytes).ToArray(), interruptControllers: true,
            attach: (vm, memory, bus, owned) =>
            {
                var device = owned.Push(new VirtioBlock("d", "d", new MemoryDisk(1 << 20)));
                var vectors = owned.Push(new VirtioVectors(vm, new GsiRoutes(vm, 2), 2));
                var function = new VirtioFunction(device, new GuestRam(memory.Ranges), vectors, vm, (uint)Bar);
                owned.Push(new VirtioWorker(device, message => Assert.Fail(message)));
                owned.Push(function);
                counting = new CountingFunction(function);
                bus.Add(counting);
            });
        guest.Start();
        Assert.Equal(VmEndReason.PowerOff, (await guest.LeftAsync()).Reason);
        Assert.True(counting!.Writes > 0);
        Assert.Equal(0, counting.Notices);
    }

    /// <summary>The driver's part before its first request, with vector 0x41 for the queue.</summary>
    private static GuestCode Initialise() => new GuestCode()
        .Store(LocalApic + 0xf0, 4, 0x1ff)
        .Store(Ecam + 4, 2, 6)
        .Store(Ecam + 0x42, 2, 0x8000)
        .Store(Bar + 0x4010, 4, LocalApic).Store(Bar + 0x4018, 4, 0x41).Store(Bar + 0x401c, 4, 0)
        .Store(Bar + 0x14, 1, 0).Store(Bar + 0x14, 1, 3)
        .Store(Bar + 8, 4, 1).Store(Bar + 12, 4, 1).Store(Bar + 0x14, 1, 0xb)
        .Store(Bar + 0x16, 2, 0).Store(Bar + 0x18, 2, 8)
        .Store(Bar + 0x20, 8, Ring).Store(Bar + 0x28, 8, Ring + 0x1000).Store(Bar + 0x30, 8, Ring + 0x2000)
        .Store(Bar + 0x1a, 2, 1).Store(Bar + 0x1c, 2, 1).Store(Bar + 0x14, 1, 0xf);

    /// <summary>Reads sector 3, waits for the used entry and for the vector in the APIC's request register, prints status and data.</summary>
    private static GuestCode Request() => new GuestCode()
        .Store(Header, 8, 0).Store(Header + 8, 8, 3).Store(Status, 1, 0xff)
        .Store(Ring, 8, Header).Store(Ring + 8, 4, 16).Store(Ring + 12, 2, 1).Store(Ring + 14, 2, 1)
        .Store(Ring + 16, 8, Data).Store(Ring + 24, 4, 512).Store(Ring + 28, 2, 3).Store(Ring + 30, 2, 2)
        .Store(Ring + 32, 8, Status).Store(Ring + 40, 4, 1).Store(Ring + 44, 2, 2)
        .Store(Ring + 0x1004, 2, 0).Store(Ring + 0x1002, 2, 1)
        .Store(Bar + 0x3000, 2, 0)
        .WaitWord(Ring + 0x2002, 1)
        .WaitBits(LocalApic + 0x220, 2)
        .Print(Status, 1).Print(Data, 11).PowerOff();

    /// <summary>Counts the accesses that left the guest.</summary>
    private sealed class CountingFunction(VirtioFunction function) : IPciFunction
    {
        public int Writes { get; private set; }

        public int Notices { get; private set; }

        public uint ReadConfig(int offset, int size) => function.ReadConfig(offset, size);

        public void WriteConfig(int offset, int size, uint value) => function.WriteConfig(offset, size, value);

        public bool TryReadMemory(ulong address, int size, out ulong value) => function.TryReadMemory(address, size, out value);

        public bool TryWriteMemory(ulong address, int size, ulong value)
        {
            Writes++;
            if (address is >= Bar + 0x3000 and < Bar + 0x4000)
                Notices++;
            return function.TryWriteMemory(address, size, value);
        }

        public void Reset() => function.Reset();
    }
}
