using Exitless.Vmm.Memory;
using Exitless.Vmm.Pci;

namespace Exitless.Vmm.Tests.Vfio;

/// <summary>BARs other than large memory: ports, ROM, less than a page; and what sleep and other devices mean for them.</summary>
public class BarKindTests
{
    private const int Power = 0x40;

    [Fact]
    public void Ports_answer_while_they_are_switched_on()
    {
        using var machine = new AssignedMachine(WithPorts);
        Assert.Equal(0xc001u, machine.Read(0x18));
        machine.Write(0x18, 0xffff_ffff);
        Assert.Equal(0xffff_ffe1u, machine.Read(0x18));
        machine.Write(0x18, 0xc100);
        var ports = new PciIoWindow(machine.Bus);
        Assert.Equal(uint.MaxValue, ports.ReadPort(0x104, 2));
        machine.Write(0x04, 1, 2);
        machine.Hardware.Memory(2)[4] = 0x34;
        machine.Hardware.Memory(2)[5] = 0x12;
        Assert.Equal(0x1234u, ports.ReadPort(0x104, 2));
        ports.WritePort(0x108, 4, 0x0403_0201);
        Assert.Equal([1, 2, 3, 4], machine.Hardware.Memory(2)[8..12]);
        Assert.Equal(uint.MaxValue, ports.ReadPort(0x11e, 4));
        Assert.Equal(uint.MaxValue, ports.ReadPort(0, 4));
        machine.AssertSound();
    }

    [Fact]
    public void A_ROM_is_read_once_and_answers_only_while_its_own_bit_is_set()
    {
        using var machine = new AssignedMachine(d =>
        {
            d.SetRom(0x1000);
            d.Memory(6)[0] = 0x55;
            d.Memory(6)[1] = 0xaa;
        });
        machine.EnableMemory();
        machine.Write(0x30, 0xffff_ffff);
        Assert.Equal(0xffff_f001u, machine.Read(0x30));
        machine.Write(0x30, 0xd000_0000);
        Assert.Equal(ulong.MaxValue, machine.ReadMemory(0xd000_0000, 8));
        machine.Write(0x30, 0xd000_0001);
        Assert.Equal(0xaa55ul, machine.ReadMemory(0xd000_0000, 2));
        machine.Hardware.Memory(6)[0] = 0;
        machine.WriteMemory(0xd000_0000, 7, 1);
        Assert.Equal(0x55ul, machine.ReadMemory(0xd000_0000, 1));
        Assert.DoesNotContain(machine.Kvm.Shown.Values, s => s.Address == 0xd000_0000);
        machine.AssertSound();
    }

    [Theory]
    [InlineData(1000)]
    [InlineData(3000)]
    [InlineData(8 << 20)]
    public void A_ROM_of_an_odd_size_is_left_out(int size)
    {
        using var machine = new AssignedMachine(d => d.SetRom(size));
        machine.Write(0x30, 0xffff_ffff);
        Assert.Equal(0u, machine.Read(0x30));
    }

    [Fact]
    public void A_small_BAR_that_has_its_page_to_itself_fills_it()
    {
        using var machine = new AssignedMachine(d => d.SetBar(0, 0x100));
        machine.Write(0x10, 0xffff_ffff);
        Assert.Equal(0xffff_f00cu, machine.Read(0x10));
        machine.Write(0x10, (uint)AssignedMachine.Bar0);
        machine.EnableMemory();
        var shown = Assert.Single(machine.Kvm.Shown.Values, s => s.Address == AssignedMachine.Bar0);
        Assert.Equal(0x1000ul, shown.Size);
        Assert.Equal(0ul, machine.ReadMemory(AssignedMachine.Bar0 + 0xfc, 4));
        Assert.Equal(0xffff_fffful, machine.ReadMemory(AssignedMachine.Bar0 + 0x100, 4));
        machine.AssertSound();
    }

    [Fact]
    public void A_small_BAR_that_cannot_be_mapped_keeps_its_size_and_is_trapped()
    {
        using var machine = new AssignedMachine(d => d.SetBar(0, 0x100, mappable: false));
        machine.Write(0x10, 0xffff_ffff);
        Assert.Equal(0xffff_ff0cu, machine.Read(0x10));
        machine.Write(0x10, (uint)AssignedMachine.Bar0);
        machine.EnableMemory();
        machine.WriteMemory(AssignedMachine.Bar0 + 4, 9, 1);
        Assert.Equal(9, machine.Hardware.Memory(0)[4]);
        Assert.DoesNotContain(machine.Kvm.Shown.Values, s => s.Address == AssignedMachine.Bar0);
    }

    [Fact]
    public void In_a_sleeping_state_nothing_can_be_reached_and_on_waking_everything_is_back()
    {
        using var machine = new AssignedMachine(WithPower);
        machine.EnableMsix();
        machine.Program(0, 0x40);
        Assert.Equal(0xfe03_7001u, machine.Read(Power));
        machine.Journal.Clear();
        machine.Write(Power + 4, 3, 2);
        Assert.True(machine.Device.IsAsleep);
        Assert.Equal(["hide c0000000", "hide c0005000", "hide c0007000"], machine.Journal);
        Assert.Equal(ulong.MaxValue, machine.ReadMemory(AssignedMachine.Bar0, 8));
        Assert.Equal(3, machine.Hardware.Bytes[Power + 4]);
        // Writes of COMMAND while asleep count when it wakes.
        machine.Write(0x04, 0, 2);
        machine.Write(Power + 4, 0, 2);
        Assert.Empty(machine.Kvm.Shown);
        machine.EnableMemory();
        Assert.Equal(3, machine.Kvm.Shown.Count);
        machine.Write(Power + 4, 3, 2);
        machine.Write(Power + 4, 0, 2);
        Assert.Equal(3, machine.Kvm.Shown.Count);
        Assert.Equal([24], machine.Kvm.Irqfds.Keys);
        machine.AssertSound();
    }

    [Fact]
    public void Other_devices_find_BARs_where_the_guest_put_them_and_only_while_they_answer()
    {
        using var machine = new AssignedMachine(peers: true);
        machine.EnableMemory();
        Assert.Equal([(AssignedMachine.Bar0, 0x4000ul), (AssignedMachine.Bar3 + 0x1000, 0x1000ul), (AssignedMachine.Bar3 + 0x3000, 0x1000ul)], machine.Peers!.Mapped.OrderBy(m => m.Key).Select(m => (m.Key, m.Value)));
        machine.Write(0x10, 0xd000_0000);
        Assert.Contains(0xd000_0000ul, machine.Peers.Mapped.Keys);
        Assert.DoesNotContain(AssignedMachine.Bar0, machine.Peers.Mapped.Keys);
        machine.Journal.Clear();
        machine.Write(0x04, 0, 2);
        Assert.Empty(machine.Peers.Mapped);
        Assert.Equal("command 00", machine.Journal[^1]);
    }

    [Fact]
    public void Where_the_IOMMU_refuses_BARs_the_device_works_all_the_same()
    {
        using var machine = new AssignedMachine(peers: true);
        machine.Peers!.Refuse = true;
        machine.EnableMemory();
        Assert.Equal(3, machine.Kvm.Shown.Count);
        machine.Write(0x04, 0, 2);
        Assert.Empty(machine.Kvm.Shown);
        Assert.Empty(machine.Log);
    }

    [Fact]
    public void Later_BARs_find_a_window_above_memory_within_what_CPU_and_IOMMU_reach()
    {
        const ulong gibibyte = 1 << 30;
        Assert.Equal((MemoryMap.FourGibibytes, MemoryMap.FourGibibytes + (64 * gibibyte)), BarPlacement.WithRoom(null, 2 * gibibyte, 1UL << 46));
        Assert.Equal((9 * gibibyte, 64 * gibibyte), BarPlacement.WithRoom(null, 8 * gibibyte, 1UL << 36));
        Assert.Null(BarPlacement.WithRoom(null, 8 * gibibyte, 9 * gibibyte));
    }

    [Fact]
    public void Memory_slot_numbers_come_again()
    {
        var numbers = new MemorySlotNumbers(2);
        Assert.Equal((2u, 3u), (numbers.Take(), numbers.Take()));
        numbers.Give(2);
        Assert.Equal((1, 2u, 4u, 3), (numbers.Taken, numbers.Take(), numbers.Take(), numbers.Taken));
    }

    private static void WithPorts(ScriptedDevice device)
    {
        // BAR 2 of 32 ports, behind a BAR 0 of 32 bits.
        device.Word(0x10, 0);
        device.Word(0x18, 1);
        device.SetBar(2, 0x20, mappable: false);
    }

    private static void WithPower(ScriptedDevice device)
    {
        device.Word(0x34, Power);
        device.Word(Power, 0xfe03_7001);
    }
}
