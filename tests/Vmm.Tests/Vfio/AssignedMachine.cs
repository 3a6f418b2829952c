using Exitless.Linux.Kvm;
using Exitless.Vmm.Control;
using Exitless.Vmm.Devices;
using Exitless.Vmm.Interrupts;
using Exitless.Vmm.Memory;
using Exitless.Vmm.Pci;
using Exitless.Vmm.Vfio;

namespace Exitless.Vmm.Tests.Vfio;

/// <summary>A bus with one assigned device at 00:01.0, between a scripted device and a scripted KVM; all in between is the real code. 256 MiB of RAM.</summary>
internal sealed class AssignedMachine : IDisposable
{
    public const ulong Bar0 = MemoryMap.Mmio32, Bar3 = MemoryMap.Mmio32 + 0x4000;
    private const ulong RamBytes = 256 << 20;
    private const ulong Config = MemoryMap.Ecam + (1 << 15);
    private readonly DisposeStack _owned = new();

    public AssignedMachine(Action<ScriptedDevice>? change = null, bool splitIrqchip = false, bool peers = false)
    {
        change?.Invoke(Hardware);
        _owned.Push(Hardware);
        Peers = peers ? new ScriptedPeers(Hardware.Journal) : null;
        try
        {
            Kvm = new ScriptedKvm(Hardware, RamBytes);
            var opened = Examine(Hardware);
            BarPlacement.Place([.. opened.Bars.Where(b => !b.Description.IsRom).Select(b => b.Request)], RamBytes, 1UL << 39);
            Routes = new GsiRoutes(Kvm, 8);
            var assembly = new DeviceAssembly(Kvm, new MemorySlotNumbers(1), Kvm, splitIrqchip ? null : Kvm, Routes, (address, text) => Log.Add($"{address}: {text}"), () => Deferred++);
            Device = assembly.Assemble(opened, slot: 1, Peers);
            _owned.Push(Device);
            Bus.Add(Device);
            Mmio = new MmioBus(Bus);
        }
        catch
        {
            _owned.Dispose();
            throw;
        }
    }

    public ScriptedDevice Hardware { get; } = new();
    public ScriptedKvm Kvm { get; }
    public GsiRoutes Routes { get; }
    public AssignedDevice Device { get; }
    public PciBus Bus { get; } = new();
    public MmioBus Mmio { get; }
    /// <summary>What the VMM wrote for people.</summary>
    public List<string> Log { get; } = [];
    public List<string> Journal => Hardware.Journal;

    /// <summary>Where other devices find its memory.</summary>
    public ScriptedPeers? Peers { get; }

    /// <summary>How often masks began to wait.</summary>
    public int Deferred { get; private set; }

    /// <summary>Examines a device as a launch does.</summary>
    public static OpenedDevice Examine(ScriptedDevice hardware) => OpenedDevice.Examine(new VfioDeviceConfig("0000:01:10.0", 7), "devices[0]", hardware);

    public uint Read(int register, int size = 4) => (uint)ReadMemory(Config + (ulong)register, size);

    public void Write(int register, uint value, int size = 4) => WriteMemory(Config + (ulong)register, value, size);

    public ulong ReadMemory(ulong address, int size)
    {
        Span<byte> data = stackalloc byte[8];
        data.Clear();
        Mmio.Access(address, isWrite: false, data[..size]);
        return BitConverter.ToUInt64(data);
    }

    public void WriteMemory(ulong address, ulong value, int size)
    {
        Span<byte> data = stackalloc byte[8];
        BitConverter.TryWriteBytes(data, value);
        Mmio.Access(address, isWrite: true, data[..size]);
    }

    public void EnableMemory() => Write(0x04, 6, 2);

    /// <summary>Writes a dword of the MSI-X table: 0 and 1 address, 2 data, 3 control.</summary>
    public void WriteEntry(int vector, int dword, uint value) => WriteMemory(Bar3 + (ulong)((vector * 16) + (dword * 4)), value, 4);

    public uint ReadEntry(int vector, int dword) => (uint)ReadMemory(Bar3 + (ulong)((vector * 16) + (dword * 4)), 4);

    public ulong PendingBits() => ReadMemory(Bar3 + 0x2000, 8);

    /// <summary>As Linux does it: on with the function masked, then that mask away.</summary>
    public void EnableMsix()
    {
        EnableMemory();
        Write(0x72, 0xc000, 2);
        Write(0x72, 0x8000, 2);
    }

    public void Program(int vector, uint data)
    {
        WriteEntry(vector, 0, 0xfee0_0000);
        WriteEntry(vector, 1, 0);
        WriteEntry(vector, 2, data);
        WriteEntry(vector, 3, 0);
    }

    public KvmRoutingEntry Route(int gsi) => Assert.Single(Kvm.Table, e => e.Gsi == gsi);

    public void AssertSound()
    {
        Assert.Empty(Hardware.Violations);
        foreach (var (gsi, trigger) in Kvm.Irqfds)
        {
            Assert.Equal(KvmRoutingEntry.Msi, Route(gsi).Type);
            // The very eventfd that VFIO signals: otherwise the kernel could not pair the two.
            Assert.Contains(trigger, Hardware.Triggers.Values.Concat(Hardware.Others.Values.SelectMany(o => o)));
        }
        var vectors = Device.TakeVectors();
        if (vectors.Kind == "msi-x")
            Assert.Equal(vectors.Vectors.Count, Hardware.Triggers.Values.Count(t => t is not null));
        else
            Assert.Empty(Hardware.Triggers);
        if (!Hardware.Answers || Device.IsAsleep)
            Assert.Empty(Kvm.Shown);
        if (Peers is not null)
            Assert.Equal(Kvm.Shown.Values.Select(s => s.Address).Order(), Peers.Mapped.Keys.Order());
        Assert.Equal(Kvm.Levels.Count, vectors.PinGsi is null ? 0 : 1);
        Assert.InRange(Routes.Taken, 24, 24 + 8);
    }

    public void Dispose() => _owned.Dispose();
}

/// <summary>The IOMMU's side of a device's BARs, which refuses what it is told to refuse.</summary>
internal sealed class ScriptedPeers(List<string> journal) : IPeerMemory
{
    public bool Refuse { get; set; }
    public Dictionary<ulong, ulong> Mapped { get; } = [];

    public bool TryMap(ulong guestAddress, ulong size, ulong hostAddress)
    {
        if (Refuse)
            return false;
        Mapped.Add(guestAddress, size);
        journal.Add($"peer {guestAddress:x}+{size:x}");
        return true;
    }

    public void Unmap(ulong guestAddress, ulong size)
    {
        Assert.Equal(size, Mapped[guestAddress]);
        Mapped.Remove(guestAddress);
        journal.Add($"unpeer {guestAddress:x}");
    }
}
