using Exitless.Linux;

namespace Exitless.Vmm.Tests.Vfio;

public class MsixTests
{
    [Fact]
    public void Enabling_takes_one_host_vector_and_no_eventfd_and_each_unmasking_adds_its_own_route_before_irqfd()
    {
        using var machine = new AssignedMachine();
        machine.EnableMemory();
        machine.Journal.Clear();
        machine.Write(0x72, 0xc000, 2);
        machine.Write(0x72, 0x8000, 2);
        Assert.Equal(["msix 0+1"], machine.Journal);
        Assert.Null(machine.Hardware.Triggers[0]);
        Assert.Empty(machine.Device.TakeVectors().Vectors);
        machine.Journal.Clear();
        machine.Program(1, 0x4041);
        Assert.Equal(["routes 1", "msix 1+1", "assign 24"], machine.Journal);
        Assert.Equal(0x4041u, machine.Route(24).Data);
        Assert.True(machine.Hardware.Fire(1));
        machine.Kvm.Deliver();
        Assert.Equal(1, machine.Kvm.Delivered[24]);
        machine.AssertSound();
    }

    [Fact]
    public void Vectors_start_masked_and_setting_them_up_costs_no_system_call()
    {
        using var machine = new AssignedMachine();
        machine.EnableMsix();
        machine.Journal.Clear();
        for (var i = 0; i < 3; i++)
        {
            Assert.Equal(1u, machine.ReadEntry(i, 3));
            machine.WriteEntry(i, 0, 0xfee0_1003);
            machine.WriteEntry(i, 3, 0xffff_ffff);
            Assert.Equal(0xfee0_1000u, machine.ReadEntry(i, 0));
            Assert.Equal(1u, machine.ReadEntry(i, 3));
        }
        Assert.Empty(machine.Journal);
        Assert.Empty(machine.Hardware.BarWrites);
    }

    [Fact]
    public void An_entry_can_be_written_in_halves_and_not_in_bytes()
    {
        using var machine = new AssignedMachine();
        machine.EnableMsix();
        machine.WriteMemory(AssignedMachine.Bar3 + 16, 0x0000_0001_fee0_2000, 8);
        machine.WriteMemory(AssignedMachine.Bar3 + 24, 0x0000_0001_0000_0055, 8);
        machine.WriteMemory(AssignedMachine.Bar3 + 24, 0xff, 1);
        machine.WriteMemory(AssignedMachine.Bar3 + 26, 0xffff_ffff, 4);
        Assert.Equal(0x0000_0001_fee0_2000ul, machine.ReadMemory(AssignedMachine.Bar3 + 16, 8));
        Assert.Equal(0x0000_0001_0000_0055ul, machine.ReadMemory(AssignedMachine.Bar3 + 24, 8));
        Assert.Equal(0xffu, machine.ReadMemory(AssignedMachine.Bar3 + 24, 1));
        Assert.Empty(machine.Hardware.BarWrites);
    }

    [Fact]
    public void What_fires_while_masked_is_pending_and_comes_when_unmasked()
    {
        using var machine = new AssignedMachine();
        machine.EnableMsix();
        machine.Program(0, 0x40);
        machine.WriteEntry(0, 3, 1);
        Assert.Equal(0ul, machine.PendingBits());
        Assert.Empty(machine.Kvm.Irqfds);
        Assert.True(machine.Hardware.Fire(0));
        Assert.Equal(1ul, machine.PendingBits());
        Assert.Equal(1ul, machine.PendingBits());
        var vector = Assert.Single(machine.Device.TakeVectors().Vectors);
        Assert.Equal((0, 24, true, true), (vector.Index, vector.Gsi, vector.Masked, vector.Pending));
        machine.WriteEntry(0, 3, 0);
        Assert.Equal(1, machine.Kvm.Delivered[24]);
        Assert.Equal(0ul, machine.PendingBits());
        machine.WriteMemory(AssignedMachine.Bar3 + 0x2000, ulong.MaxValue, 8);
        Assert.Empty(machine.Hardware.BarWrites);
        machine.AssertSound();
    }

    [Fact]
    public void A_new_affinity_is_one_table_and_the_irqfd_stays()
    {
        using var machine = new AssignedMachine();
        machine.EnableMsix();
        machine.Program(0, 0x40);
        machine.Journal.Clear();
        machine.WriteEntry(0, 3, 1);
        machine.WriteEntry(0, 0, 0xfee0_3000);
        machine.WriteEntry(0, 2, 0x51);
        Assert.Empty(machine.Journal);
        machine.WriteEntry(0, 3, 0);
        Assert.Equal(["routes 1"], machine.Journal);
        Assert.Equal(0u, machine.ReadEntry(0, 3));
        machine.Device.Settle();
        Assert.Equal(["routes 1"], machine.Journal);
        Assert.Equal((0xfee0_3000u, 0x51u), (machine.Route(24).AddressLow, machine.Route(24).Data));
        machine.Hardware.Fire(0);
        machine.Kvm.Deliver();
        Assert.Equal(1, machine.Kvm.Delivered[24]);
        machine.AssertSound();
    }

    /// <summary>A mask is a posted write: it has arrived when the guest has read from the device, wherever, or after a while.</summary>
    [Theory]
    [InlineData("table")]
    [InlineData("pending bits")]
    [InlineData("register")]
    [InlineData("configuration read")]
    [InlineData("configuration write")]
    [InlineData("time")]
    public void A_mask_holds_no_later_than_the_next_read_from_the_device(string next)
    {
        using var machine = new AssignedMachine();
        machine.EnableMsix();
        machine.Program(0, 0x40);
        machine.Program(1, 0x41);
        machine.WriteEntry(0, 3, 1);
        machine.WriteEntry(1, 3, 1);
        Assert.Equal((2, 1), (machine.Kvm.Irqfds.Count, machine.Deferred));
        // What fires before the mask has arrived is delivered, as on hardware.
        machine.Hardware.Fire(0);
        machine.Kvm.Deliver();
        Assert.Equal(1, machine.Kvm.Delivered[24]);
        switch (next)
        {
            case "table": machine.ReadEntry(2, 0); break;
            case "pending bits": machine.PendingBits(); break;
            case "register": machine.ReadMemory(AssignedMachine.Bar0, 4); break;
            case "configuration read": machine.Read(0); break;
            case "configuration write": machine.Write(0x3c, 5, 1); break;
            case "time": machine.Device.Settle(); break;
            default: Assert.Fail(next); break;
        }
        Assert.Empty(machine.Kvm.Irqfds);
        machine.Hardware.Fire(0);
        machine.Hardware.Fire(1);
        machine.Kvm.Deliver();
        Assert.Equal(3ul, machine.PendingBits());
        machine.WriteEntry(0, 3, 0);
        Assert.Equal((2, 2ul), (machine.Kvm.Delivered[24], machine.PendingBits()));
        machine.AssertSound();
    }

    [Fact]
    public void The_function_mask_holds_everything_and_then_lets_everything_go()
    {
        using var machine = new AssignedMachine();
        machine.EnableMemory();
        machine.Write(0x72, 0xc000, 2);
        for (var i = 0; i < 3; i++)
            machine.Program(i, (uint)(0x40 + i));
        Assert.Empty(machine.Kvm.Irqfds);
        machine.Write(0x72, 0x8000, 2);
        Assert.Equal([24, 25, 26], machine.Kvm.Irqfds.Keys.Order());
        machine.AssertSound();
        machine.Write(0x72, 0xc000, 2);
        Assert.Empty(machine.Kvm.Irqfds);
        machine.Hardware.Fire(1);
        Assert.Equal(2ul, machine.PendingBits());
        machine.AssertSound();
    }

    [Fact]
    public void Disabling_ends_irqfds_before_vectors_and_what_was_pending_is_gone_when_enabled_again()
    {
        using var machine = new AssignedMachine();
        machine.EnableMsix();
        machine.Program(0, 0x40);
        machine.Program(2, 0x42);
        machine.WriteEntry(2, 3, 1);
        machine.Device.Settle();
        machine.Hardware.Fire(2);
        machine.WriteEntry(0, 3, 0);
        machine.Journal.Clear();
        machine.Write(0x72, 0, 2);
        Assert.Equal(["deassign 24", "msix off", "routes 0"], machine.Journal);
        Assert.Empty(machine.Device.TakeVectors().Vectors);
        Assert.Equal(0ul, machine.PendingBits());
        machine.WriteEntry(2, 3, 0);
        machine.Write(0x72, 0x8000, 2);
        Assert.Equal([24, 25], machine.Kvm.Irqfds.Keys.Order());
        Assert.Empty(machine.Kvm.Delivered);
        machine.AssertSound();
    }

    [Fact]
    public void Control_shows_the_table_size_keeps_only_its_two_bits_and_never_reaches_the_device()
    {
        using var machine = new AssignedMachine();
        machine.Write(0x70, 0xffff_ffff);
        Assert.Equal(0xc002_a011u, machine.Read(0x70));
        machine.Write(0x73, 0, 1);
        Assert.Equal(0x0002_a011u, machine.Read(0x70));
        Assert.Equal(0x0002_a011u, BitConverter.ToUInt32(machine.Hardware.Bytes, 0x70));
        machine.AssertSound();
    }

    [Fact]
    public void Without_resizing_MSIX_is_renewed_with_the_old_eventfds_and_nothing_is_lost()
    {
        using var machine = new AssignedMachine(d => d.MsixGrows = false);
        machine.EnableMsix();
        machine.Program(0, 0x40);
        var first = machine.Hardware.Triggers[0];
        machine.Journal.Clear();
        machine.Program(2, 0x42);
        Assert.Equal(["routes 2", "msix off", "msix 0+3", "assign 25"], machine.Journal);
        Assert.Same(first, machine.Hardware.Triggers[0]);
        Assert.Null(machine.Hardware.Triggers[1]);
        machine.Kvm.Deliver();
        Assert.Equal(1, machine.Kvm.Delivered[24]);
        machine.Journal.Clear();
        machine.Program(1, 0x41);
        Assert.Equal(["routes 3", "msix 1+1", "assign 26"], machine.Journal);
        machine.AssertSound();
    }

    [Fact]
    public void A_host_without_vectors_leaves_the_guest_running_and_is_asked_again()
    {
        using var machine = new AssignedMachine();
        machine.EnableMsix();
        machine.Hardware.RefuseMsix = Errno.NoSpace;
        machine.Program(0, 0x40);
        Assert.Empty(machine.Kvm.Irqfds);
        Assert.Empty(machine.Device.TakeVectors().Vectors);
        machine.Program(1, 0x41);
        Assert.Equal(["0000:01:10.0: MSI-X vector 0 does not work: the host has no interrupt vector or remapping entry left (VFIO_DEVICE_SET_IRQS: No space left on device (errno 28)); 0 of its vectors are in use."], machine.Log);
        Assert.Equal(2, machine.Device.TakeVectors().Refused);
        machine.WriteEntry(1, 3, 1);
        machine.Hardware.RefuseMsix = 0;
        machine.WriteEntry(0, 3, 1);
        machine.WriteEntry(0, 3, 0);
        Assert.Single(machine.Kvm.Irqfds);
        Assert.Equal(0, machine.Device.TakeVectors().Refused);
        machine.AssertSound();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void When_the_host_runs_out_the_vectors_in_use_stay_and_the_refused_are_counted(bool grows)
    {
        using var machine = new AssignedMachine(d => (d.MsixGrows, d.HostHas) = (grows, 2));
        machine.EnableMsix();
        for (var i = 0; i < 3; i++)
            machine.Program(i, (uint)(0x40 + i));
        var vectors = machine.Device.TakeVectors();
        Assert.Equal((2, 1), (vectors.Vectors.Count, vectors.Refused));
        Assert.Contains(grows ? "no interrupt vector or remapping entry left" : "has 2 interrupt vectors", vectors.RefusedBecause, StringComparison.Ordinal);
        Assert.Contains("2 of its vectors are in use", Assert.Single(machine.Log), StringComparison.Ordinal);
        machine.Kvm.Deliver();
        machine.Kvm.Delivered.Clear();
        for (var i = 0; i < 2; i++)
            Assert.True(machine.Hardware.Fire(i));
        Assert.False(machine.Hardware.Fire(2));
        machine.Kvm.Deliver();
        Assert.Equal([(24, 1), (25, 1)], machine.Kvm.Delivered.OrderBy(d => d.Key).Select(d => (d.Key, d.Value)));
        machine.AssertSound();
        // A vector that is masked is missed by nobody.
        machine.WriteEntry(2, 3, 1);
        Assert.Equal(0, machine.Device.TakeVectors().Refused);
    }

    [Fact]
    public void A_device_has_up_to_2048_vectors_and_takes_those_that_are_opened()
    {
        using var machine = new AssignedMachine(d =>
        {
            d.MsixCount = 2048;
            d.SetBar(3, 0x10000);
            d.Word(0x70, 0x07ff_a011);
            d.Word(0x78, 0x8003);
        });
        var table = (machine.Read(0x1c) & ~0xful) | ((ulong)machine.Read(0x20) << 32);
        machine.EnableMsix();
        foreach (var vector in new ulong[] { 0, 1, 1000, 2047 })
        {
            machine.WriteMemory(table + (vector * 16), 0xfee0_0000, 8);
            machine.WriteMemory(table + (vector * 16) + 8, 0x40, 8);
        }
        var vectors = machine.Device.TakeVectors();
        Assert.Equal((2048, 0), (vectors.TableSize, vectors.Refused));
        Assert.Equal([0, 1, 1000, 2047], vectors.Vectors.Select(v => v.Index));
        Assert.Equal(28, machine.Routes.Taken);
        machine.AssertSound();
        machine.Write(0x72, 0, 2);
        Assert.Equal(24, machine.Routes.Taken);
    }

    [Fact]
    public void A_host_that_gives_nothing_back_when_MSIX_is_renewed_leaves_no_irqfd_behind()
    {
        using var machine = new AssignedMachine(d => d.MsixGrows = false);
        machine.EnableMsix();
        machine.Program(0, 0x40);
        machine.Hardware.RefuseMsix = Errno.NoSpace;
        machine.Program(1, 0x41);
        Assert.Empty(machine.Kvm.Irqfds);
        Assert.Empty(machine.Device.TakeVectors().Vectors);
        machine.Hardware.RefuseMsix = 0;
        for (var i = 0; i < 2; i++)
        {
            machine.WriteEntry(i, 3, 1);
            machine.WriteEntry(i, 3, 0);
        }
        Assert.Equal(2, machine.Kvm.Irqfds.Count);
        machine.AssertSound();
    }

    [Fact]
    public void A_message_that_no_APIC_takes_holds_back_only_its_own_vector()
    {
        using var machine = new AssignedMachine();
        machine.EnableMsix();
        machine.Program(0, 0x40);
        machine.WriteEntry(1, 0, 0xfee0_0000);
        machine.WriteEntry(1, 1, 0xff);
        machine.WriteEntry(1, 3, 0);
        machine.Program(2, 0x42);
        Assert.Equal([24, 26], machine.Kvm.Irqfds.Keys.Order());
        machine.AssertSound();
        // An open vector that is given such a message falls silent, and speaks again with a good one.
        machine.WriteEntry(0, 1, 0xff);
        Assert.Equal([26], machine.Kvm.Irqfds.Keys);
        machine.WriteEntry(0, 1, 0);
        machine.WriteEntry(1, 1, 0);
        Assert.Equal([24, 25, 26], machine.Kvm.Irqfds.Keys.Order());
        machine.AssertSound();
    }

    [Fact]
    public void An_irqfd_that_KVM_refuses_is_asked_for_again()
    {
        using var machine = new AssignedMachine();
        machine.EnableMsix();
        machine.Kvm.RefuseIrqfds = true;
        machine.Program(0, 0x40);
        Assert.Empty(machine.Kvm.Irqfds);
        machine.Kvm.RefuseIrqfds = false;
        machine.WriteEntry(0, 3, 1);
        machine.WriteEntry(0, 3, 0);
        Assert.Single(machine.Kvm.Irqfds);
        machine.AssertSound();
    }

    [Fact]
    public void Masking_unmasking_and_new_routes_allocate_nothing_once_warm()
    {
        using var machine = new AssignedMachine();
        machine.Kvm.Silent = machine.Hardware.Silent = true;
        machine.EnableMsix();
        for (var i = 0; i < 3; i++)
            machine.Program(i, 0x40);
        void Round(uint data)
        {
            machine.WriteEntry(1, 3, 1);
            machine.WriteEntry(1, 2, data);
            machine.PendingBits();
            machine.WriteEntry(1, 3, 0);
            machine.WriteEntry(2, 2, data);
            machine.Write(0x72, 0xc000, 2);
            machine.Write(0x72, 0x8000, 2);
            machine.Read(0x70);
            machine.ReadMemory(AssignedMachine.Bar0, 4);
        }
        for (uint i = 0; i < 50; i++)
            Round(i);
        var tables = machine.Kvm.Tables;
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (uint i = 0; i < 200; i++)
            Round(i);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.Equal(tables + 400, machine.Kvm.Tables);
    }
}
