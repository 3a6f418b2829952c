using Exitless.Vmm.Control;
using Exitless.Vmm.Devices;
using Exitless.Vmm.Memory;
using Exitless.Vmm.Pci;
using Exitless.Vmm.Tests.Vfio;

namespace Exitless.Vmm.Tests.Pci;

public class PciBusTests
{
    private const ulong Gibibyte = 1 << 30;

    [Fact]
    public void The_bridge_answers_alone_and_keeps_its_registers()
    {
        var bus = new PciBus();
        bus.WriteConfig(0, 0, 4, 0);
        bus.WriteConfig(0, 4, 2, 0xffff);
        Assert.Equal((0x0008_1b36u, 0u, 0x0600_0000u), (bus.ReadConfig(0, 0, 4), bus.ReadConfig(0, 4, 4), bus.ReadConfig(0, 8, 4)));
        foreach (var elsewhere in new uint[] { 1, 1 << 3, 1 << 8, uint.MaxValue })
            Assert.Equal(uint.MaxValue, bus.ReadConfig(elsewhere, 0, 4));
        Assert.Equal(uint.MaxValue, bus.ReadConfig(0, 3, 2));
    }

    [Fact]
    public void Ports_and_ECAM_reach_the_same_registers()
    {
        using var machine = new AssignedMachine();
        var ports = new PciPorts(machine.Bus, new ResetControl(new GuestEnd()));
        Assert.Equal(0x10cau, ReadPort(ports, 1, 0, 2, 2));
        Assert.Equal(0x0008_1b36u, ReadPort(ports, 0, 0, 0, 4));
        Assert.Equal(uint.MaxValue, ReadPort(ports, 2, 0, 0, 4));
        Assert.Equal(uint.MaxValue, ReadPort(ports, 1, 1, 0, 4));
        ports.WritePort(0, 4, 0);
        Assert.Equal(uint.MaxValue, ports.ReadPort(4, 4));
        Assert.Equal(0x0200_0001_0010_0000ul, machine.ReadMemory(MemoryMap.Ecam + (1 << 15) + 4, 8));
        Assert.Equal(ulong.MaxValue, machine.ReadMemory(MemoryMap.Ecam + MemoryMap.EcamSize, 8));
    }

    [Fact]
    public void The_bus_holds_31_devices()
    {
        var bus = new PciBus();
        for (var slot = 1; slot < PciBus.Slots; slot++)
            Assert.Equal(slot, bus.Add(new HostBridge()));
        Assert.Throws<InvalidOperationException>(() => bus.Add(new HostBridge()));
    }

    [Fact]
    public void Functions_of_one_slot_say_so_and_come_and_go_together()
    {
        var bus = new PciBus();
        bus.Set(3, 1, new HostBridge());
        bus.Set(3, 0, new HostBridge());
        Assert.Equal((0x80u, 0x80u, 0x0080_0000u), (bus.ReadConfig(0x18, 0x0e, 1), bus.ReadConfig(0x19, 0x0e, 1), bus.ReadConfig(0x18, 0x0c, 4)));
        Assert.Equal((0u, 0u), (bus.ReadConfig(0x18, 0x0c, 2), bus.ReadConfig(0, 0x0e, 1)));
        Assert.Equal(1, bus.FindFree());
        bus.Clear(3);
        Assert.Equal((uint.MaxValue, uint.MaxValue), (bus.ReadConfig(0x18, 0, 4), bus.ReadConfig(0x19, 0, 4)));
        bus.Set(3, 0, new HostBridge());
        Assert.Equal(0u, bus.ReadConfig(0x18, 0x0e, 1));
    }

    [Fact]
    public void BARs_are_placed_naturally_aligned_apart_and_low_as_long_as_they_fit()
    {
        BarRequest[] bars = [Bar(0x1000), Bar(0x100), Bar(0x2000_0000, is64Bit: true), Bar(0x400_0000, is64Bit: true), Bar(0x1_0000_0000, is64Bit: true), Bar(16)];
        var window = BarPlacement.Place(bars, 2 * Gibibyte, 1UL << 39);
        Assert.All(bars, bar => Assert.Equal(0ul, bar.Address & (bar.Size - 1)));
        foreach (var bar in bars)
            Assert.All(bars.Where(other => other != bar), other => Assert.True(bar.Address >> 12 >= (other.Address + other.Size + 4095) >> 12 || other.Address >> 12 >= (bar.Address + bar.Size + 4095) >> 12));
        Assert.Equal((MemoryMap.FourGibibytes, 9 * Gibibyte), window);
        Assert.All(bars.Where(bar => !bar.Is64Bit), bar => Assert.InRange(bar.Address, MemoryMap.Mmio32, MemoryMap.Mmio32End - bar.Size));
    }

    [Fact]
    public void Without_large_BARs_there_is_no_high_window() => Assert.Null(BarPlacement.Place([Bar(0x4000, is64Bit: true)], 8 * Gibibyte, 1UL << 39));

    [Theory]
    [InlineData(0x4000_0000, false)]
    [InlineData(0x40_0000_0000, true)]
    [InlineData(0x4000_0000_0000_0000, true)]
    public void A_BAR_without_room_is_refused_with_its_size(ulong size, bool is64Bit)
    {
        var problem = Assert.Throws<VmmProblemException>(() => BarPlacement.Place([Bar(size, is64Bit)], 4 * Gibibyte, 1UL << 38));
        Assert.Equal(("device-bar-too-large", "devices[0]"), (problem.Code, problem.Field));
        Assert.Contains($"{size:#,0}", problem.Detail, StringComparison.Ordinal);
    }

    private static BarRequest Bar(ulong size, bool is64Bit = false) => new("0000:01:10.0", 0, size, is64Bit, "devices[0]");

    private static uint ReadPort(PciPorts ports, uint device, uint function, uint register, int size)
    {
        ports.WritePort(0, 4, 0x8000_0000 | (device << 11) | (function << 8) | (register & 0xfc));
        return ports.ReadPort((int)(4 + (register & 3)), size);
    }
}
