using Exitless.Vmm.Control;
using Exitless.Vmm.Memory;

namespace Exitless.Vmm.Tests.Vfio;

public class AssignedDeviceTests
{
    [Fact]
    public void The_device_shows_its_own_identity_and_starts_with_its_memory_off()
    {
        using var machine = new AssignedMachine(d => d.Bytes[4] = 0x06);
        Assert.Equal("command 00", machine.Journal[^1]);
        Assert.Equal(0x10ca_8086u, machine.Read(0));
        Assert.Equal(0x10cau, machine.Read(2, 2));
        Assert.Equal(0x0200_0001u, machine.Read(8));
        Assert.Equal(ulong.MaxValue, machine.ReadMemory(AssignedMachine.Bar0, 8));
    }

    [Fact]
    public void What_nobody_serves_is_hidden()
    {
        using var machine = new AssignedMachine();
        Assert.Equal(0u, machine.Read(0x0e, 1));
        // No ROM, and a device that has no pin.
        Assert.Equal(0u, machine.Read(0x30));
        Assert.Equal(0u, machine.Read(0x3d, 1));
        Assert.Equal(0x70u, machine.Read(0x34));
        // AER, then the serial number: ARI and SR-IOV are neither linked nor there.
        Assert.Equal(0x1a01_0001u, machine.Read(0x100));
        Assert.Equal(0x0001_0003u, machine.Read(0x1a0));
        foreach (var register in new[] { 0x140, 0x144, 0x150, 0x154 })
        {
            machine.Write(register, 0xffff_ffff);
            Assert.Equal(0u, machine.Read(register));
        }
        Assert.Equal(0x1a01_0010u, BitConverter.ToUInt32(machine.Hardware.Bytes, 0x150));
    }

    [Fact]
    public void A_hidden_head_of_the_extended_list_leads_on()
    {
        using var machine = new AssignedMachine(d => d.Word(0x100, 0x1401_000e));
        Assert.Equal(0x1a01_0000u, machine.Read(0x100));
    }

    [Fact]
    public void Resizable_BARs_are_hidden_and_not_the_capability_behind_them()
    {
        using var machine = new AssignedMachine(d =>
        {
            d.Word(0x1a0, 0x2001_0003);
            d.Word(0x200, 0x20c1_0015);
            d.Word(0x208, 0x0000_0021);
            d.Word(0x20c, 0x0001_0018);
            d.Word(0x210, 0x1234_5678);
        });
        Assert.Equal(0x20c1_0003u, machine.Read(0x1a0));
        Assert.Equal((0u, 0u), (machine.Read(0x200), machine.Read(0x208)));
        Assert.Equal((0x0001_0018u, 0x1234_5678u), (machine.Read(0x20c), machine.Read(0x210)));
    }

    [Fact]
    public void Capability_lists_that_loop_end()
    {
        using var machine = new AssignedMachine(d =>
        {
            d.Word(0xa0, 0x0002_7010);
            d.Word(0x1a0, 0x1001_0003);
        });
        Assert.Equal(0u, machine.Read(0xa0) >> 8 & 0xff);
        Assert.Equal(0u, machine.Read(0x1a0) >> 20);
    }

    [Fact]
    public void BARs_have_addresses_before_the_guest_runs_and_tell_their_size()
    {
        using var machine = new AssignedMachine();
        Assert.Equal(((uint)AssignedMachine.Bar0 | 0xc, 0u), (machine.Read(0x10), machine.Read(0x14)));
        Assert.Equal(((uint)AssignedMachine.Bar3 | 0xc, 0u), (machine.Read(0x1c), machine.Read(0x20)));
        machine.Write(0x10, 0xffff_ffff);
        machine.Write(0x14, 0xffff_ffff);
        Assert.Equal((0xffff_c00cu, 0xffff_ffffu), (machine.Read(0x10), machine.Read(0x14)));
        machine.Write(0x24, 0xffff_ffff);
        Assert.Equal(0u, machine.Read(0x24));
        Assert.Empty(machine.Kvm.Shown);
    }

    [Fact]
    public void The_guest_reaches_all_but_the_pages_of_the_MSIX_structures_in_the_safe_order()
    {
        using var machine = new AssignedMachine();
        machine.Journal.Clear();
        machine.EnableMemory();
        Assert.Equal(["command 06", "show c0000000+4000", "show c0005000+1000", "show c0007000+1000"], machine.Journal);
        machine.Journal.Clear();
        machine.Write(0x04, 4, 2);
        Assert.Equal(["hide c0000000", "hide c0005000", "hide c0007000", "command 04"], machine.Journal);
        machine.AssertSound();
    }

    [Fact]
    public void The_upper_byte_of_COMMAND_leaves_the_memory_on()
    {
        using var machine = new AssignedMachine();
        machine.EnableMemory();
        machine.Journal.Clear();
        machine.Write(0x05, 4, 1);
        Assert.Empty(machine.Journal);
        Assert.Equal(0x0406u, machine.Read(4, 2));
        Assert.Equal(3, machine.Kvm.Shown.Count);
    }

    [Fact]
    public void Accesses_that_exit_go_to_the_device_beside_the_table()
    {
        using var machine = new AssignedMachine();
        machine.EnableMemory();
        machine.Hardware.Memory(3)[0x40] = 0x5a;
        Assert.Equal(0x5aul, machine.ReadMemory(AssignedMachine.Bar3 + 0x40, 1));
        machine.WriteMemory(AssignedMachine.Bar3 + 0x44, 0x0403_0201, 4);
        Assert.Equal([1, 2, 3, 4], machine.Hardware.Memory(3)[0x44..0x48]);
        Assert.Equal(0xfffful, machine.ReadMemory(AssignedMachine.Bar3 + 0x4000, 2));
        Assert.Equal(0xfffful, machine.ReadMemory(AssignedMachine.Bar3 + 0x3fff, 2));
    }

    [Fact]
    public void A_BAR_that_KVM_will_not_map_still_works_through_exits()
    {
        using var machine = new AssignedMachine();
        machine.Kvm.RefuseSlots = true;
        machine.EnableMemory();
        Assert.Empty(machine.Kvm.Shown);
        machine.WriteMemory(AssignedMachine.Bar0 + 8, 9, 1);
        Assert.Equal(9, machine.Hardware.Memory(0)[8]);
    }

    [Fact]
    public void A_BAR_that_moves_is_found_at_its_new_place_only()
    {
        using var machine = new AssignedMachine();
        machine.EnableMemory();
        machine.Write(0x10, 0xd000_0000);
        Assert.DoesNotContain(machine.Kvm.Shown.Values, s => s.Address == AssignedMachine.Bar0);
        Assert.Contains((0xd000_0000ul, 0x4000ul), machine.Kvm.Shown.Values);
        machine.WriteMemory(0xd000_0004, 7, 1);
        Assert.Equal(7, machine.Hardware.Memory(0)[4]);
        Assert.Equal(ulong.MaxValue, machine.ReadMemory(AssignedMachine.Bar0, 8));
        machine.Write(0x14, 1);
        Assert.Contains((0x1_d000_0000ul, 0x4000ul), machine.Kvm.Shown.Values);
    }

    [Fact]
    public void Two_BARs_can_swap_their_places()
    {
        using var machine = new AssignedMachine();
        machine.EnableMemory();
        machine.Write(0x10, (uint)AssignedMachine.Bar3);
        machine.Write(0x1c, (uint)AssignedMachine.Bar0);
        Assert.Equal([(AssignedMachine.Bar0 + 0x1000, 0x1000ul), (AssignedMachine.Bar0 + 0x3000, 0x1000ul), (AssignedMachine.Bar3, 0x4000ul)], machine.Kvm.Shown.Values.Order());
    }

    [Theory]
    [InlineData(0x0000_0000u)] // on RAM
    [InlineData(0x4000_0000u)] // between RAM and the window
    [InlineData((uint)MemoryMap.Ecam)]
    [InlineData((uint)MemoryMap.LocalApic)]
    [InlineData(0xffff_c000u)]
    public void Outside_the_windows_of_the_bus_a_BAR_answers_nowhere(uint address)
    {
        using var machine = new AssignedMachine();
        machine.EnableMemory();
        machine.Write(0x10, address);
        Assert.Equal(2, machine.Kvm.Shown.Count);
        Assert.False(machine.Bus.TryReadMemory(address, 4, out _));
        machine.Write(0x10, (uint)AssignedMachine.Bar0);
        Assert.Equal(3, machine.Kvm.Shown.Count);
    }

    [Fact]
    public void The_MSIX_BAR_is_not_mapped_at_all_where_the_kernel_does_not_offer_it()
    {
        using var machine = new AssignedMachine(d => d.SetBar(3, 0x4000, msixMappable: false));
        machine.EnableMemory();
        Assert.Equal([(AssignedMachine.Bar0, 0x4000ul)], machine.Kvm.Shown.Values);
    }

    [Fact]
    public void Sparse_areas_are_the_limit_and_still_without_the_table()
    {
        using var machine = new AssignedMachine(d => d.SetBar(3, 0x4000, msixMappable: false, [(0, 0x2000), (0x3000, 0x1000)]));
        machine.EnableMemory();
        Assert.Equal([AssignedMachine.Bar0, AssignedMachine.Bar3 + 0x1000, AssignedMachine.Bar3 + 0x3000], machine.Kvm.Shown.Values.Select(s => s.Address));
    }

    [Fact]
    public void A_table_that_shares_its_pages_takes_them_whole()
    {
        using var machine = new AssignedMachine(d =>
        {
            d.Word(0x74, 0x1ff0 | 3);
            d.Word(0x78, 0x2103);
        });
        machine.EnableMemory();
        Assert.Equal([AssignedMachine.Bar0, AssignedMachine.Bar3, AssignedMachine.Bar3 + 0x3000], machine.Kvm.Shown.Values.Select(s => s.Address));
    }

    [Theory]
    [InlineData(0xa8, 2, 0x8000u)]
    [InlineData(0xa8, 4, 0x0000_8000u)]
    [InlineData(0xa9, 1, 0x80u)]
    [InlineData(0xb4, 1, 0x01u)] // by the Advanced Features capability
    public void A_reset_by_the_guest_leaves_a_function_as_after_reset(int register, int size, uint value)
    {
        using var machine = new AssignedMachine(d =>
        {
            d.Word(0xa0, 0x0002_b010);
            d.Word(0xb0, 0x0306_0013);
        });
        machine.EnableMsix();
        machine.Program(0, 0x40);
        machine.Write(register, value, size);
        Assert.Equal(value, (uint)machine.Hardware.Bytes[register] | (uint)(size > 1 ? machine.Hardware.Bytes[register + 1] << 8 : 0));
        Assert.Equal(0u, machine.Read(0x04, 2));
        Assert.Equal((0xcu, 0u, 0xcu, 0u), (machine.Read(0x10), machine.Read(0x14), machine.Read(0x1c), machine.Read(0x20)));
        Assert.Equal(0u, machine.Read(0x70) >> 30);
        Assert.Empty(machine.Kvm.Shown);
        Assert.Empty(machine.Kvm.Irqfds);
        Assert.Equal(0, machine.Hardware.HostVectors);
        machine.AssertSound();

        machine.Write(0x10, (uint)AssignedMachine.Bar0);
        machine.Write(0x1c, (uint)AssignedMachine.Bar3);
        machine.EnableMsix();
        Assert.Equal(1u, machine.ReadEntry(0, 3));
        machine.Program(0, 0x41);
        Assert.Equal([24], machine.Kvm.Irqfds.Keys);
        machine.AssertSound();
    }

    [Fact]
    public void Teardown_ends_interrupts_then_mappings_then_the_device()
    {
        var machine = new AssignedMachine();
        machine.EnableMsix();
        machine.Program(0, 0x40);
        machine.Journal.Clear();
        machine.Dispose();
        Assert.Equal(["deassign 24", "msix off", "routes 0", "hide c0005000", "hide c0007000", "hide c0000000", "close"], machine.Journal);
        Assert.Empty(machine.Hardware.Violations);
    }

    public static TheoryData<string, string> UnusableDevices => new()
    {
        { "table outside", "device-bar-unsupported" }, { "table nowhere", "device-bar-unsupported" },
        { "pending outside", "device-bar-unsupported" }, { "odd size", "device-bar-unsupported" }, { "tiny", "device-bar-unsupported" }, { "half a BAR", "device-bar-unsupported" },
        { "no mmap", "device-bar-unsupported" }, { "too large", "device-bar-too-large" },
    };

    [Theory]
    [MemberData(nameof(UnusableDevices))]
    public void A_device_that_cannot_be_served_is_refused_in_words_and_released(string defect, string code)
    {
        ScriptedDevice? hardware = null;
        var problem = Assert.Throws<VmmProblemException>(() => new AssignedMachine(device => Spoil(hardware = device, defect)));
        Assert.Equal((code, "devices[0]"), (problem.Code, problem.Field));
        Assert.Contains("0000:01:10.0", problem.Detail, StringComparison.Ordinal);
        Assert.NotEmpty(problem.Remedy);
        Assert.Equal("close", hardware!.Journal[^1]);
    }

    private static void Spoil(ScriptedDevice device, string defect)
    {
        switch (defect)
        {
            case "table outside": device.Word(0x74, 0x3ff3); break;
            case "table nowhere": device.Word(0x74, 2); break;
            case "pending outside": device.Word(0x78, 0x4003); break;
            case "odd size": device.SetBar(0, 0x3000); break;
            case "tiny": device.SetBar(0, 8); break;
            case "no mmap": device.RefuseMap = true; break;
            case "half a BAR":
                device.SetBar(5, 0x1000);
                device.Word(0x24, 4);
                break;
            case "too large":
                // 1 GiB and not 64 bits wide: more than there is room below 4 GiB.
                device.SetBar(0, 1 << 30);
                device.Word(0x10, 0);
                break;
            default:
                Assert.Fail(defect);
                break;
        }
    }
}
