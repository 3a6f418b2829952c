using Exitless.Vmm.Virtio;

namespace Exitless.Vmm.Tests.Virtio;

/// <summary>The PCI transport: what a driver finds, how it negotiates, and where its notices and interrupts go.</summary>
public sealed class TransportTests
{
    [Fact]
    public void A_driver_finds_the_modern_transport_by_its_capabilities()
    {
        using var machine = Machine();
        Assert.Equal(0x1042_1af4u, machine.Bus.Config(0));
        Assert.Equal(0x0100_0001u, machine.Bus.Config(8));
        var found = new Dictionary<int, (uint Bar, uint Offset, uint Length)>();
        var msix = false;
        for (var at = (int)machine.Bus.Config(0x34, 1); at != 0; at = (int)machine.Bus.Config(at + 1, 1))
        {
            msix |= machine.Bus.Config(at, 1) == 0x11;
            if (machine.Bus.Config(at, 1) == 9)
                found.Add((int)machine.Bus.Config(at + 3, 1), (machine.Bus.Config(at + 4, 1), machine.Bus.Config(at + 8), machine.Bus.Config(at + 12)));
        }
        Assert.True(msix);
        Assert.Equal([1, 2, 3, 4, 5], found.Keys.Order());
        Assert.Equal((0u, 0x0000u, 0x38u), found[1]);
        Assert.Equal((0u, 0x3000u, 4u), found[2]);
        Assert.Equal((0u, 0x2000u, 60u), found[4]);
    }

    [Fact]
    public void The_bar_is_sized_as_on_hardware_and_answers_only_where_it_decodes()
    {
        using var machine = Machine();
        machine.Bus.Function.WriteConfig(0x10, 4, uint.MaxValue);
        Assert.Equal(0xffff_8000u, machine.Bus.Config(0x10));
        Assert.False(machine.Bus.Function.TryReadMemory(ScriptedBus.Bar, 4, out _));
        machine.Bus.Function.WriteConfig(0x10, 4, 0xc000_0000);
        Assert.True(machine.Bus.Function.TryReadMemory(0xc000_0012, 2, out var queues));
        Assert.Equal(1ul, queues);
        Assert.Equal([0xc000_3000ul], machine.Bus.Notices.Keys);
        machine.Bus.Function.WriteConfig(4, 2, 0);
        Assert.Empty(machine.Bus.Notices);
        Assert.False(machine.Bus.Function.TryReadMemory(0xc000_0012, 2, out _));
    }

    [Fact]
    public void Features_that_were_not_offered_and_a_legacy_driver_are_refused()
    {
        using var machine = Machine();
        foreach (var features in (ulong[])[Driver.Version1 | 1UL << 40, 0])
        {
            machine.Driver.Status = 0;
            machine.Driver.Status = 3;
            machine.Driver.Chosen = features;
            machine.Driver.Status = 0xb;
            Assert.Equal(3, machine.Driver.Status);
        }
    }

    [Fact]
    public void A_device_is_reset_by_its_status_and_negotiates_anew()
    {
        using var machine = Machine();
        Assert.Equal(0xf, machine.Driver.Status);
        machine.Driver.Status = 0;
        Assert.Equal(0, machine.Driver.Status);
        Assert.Equal(0ul, machine.Bus.Read(0x1c, 2));
        Assert.Equal((ulong)SplitQueue.MostEntries, machine.Bus.Read(0x18, 2));
        var again = new Driver(machine.Bus);
        Assert.Equal(0xf, again.Status);
    }

    [Fact]
    public void The_window_in_configuration_space_reaches_the_registers()
    {
        using var machine = Machine();
        machine.Bus.Function.WriteConfig(0x98, 4, 0x2000);
        machine.Bus.Function.WriteConfig(0x9c, 4, 4);
        Assert.Equal(2048u, machine.Bus.Config(0xa0));
        machine.Bus.Function.WriteConfig(0x98, 4, 0x14);
        machine.Bus.Function.WriteConfig(0x9c, 4, 1);
        Assert.Equal(0xfu, machine.Bus.Config(0xa0, 1));
        machine.Bus.Function.WriteConfig(0xa0, 1, 0);
        Assert.Equal(0, machine.Driver.Status);
        machine.Bus.Function.WriteConfig(0x98, 4, 0xffff_fff0);
        Assert.Equal(0u, machine.Bus.Config(0xa0));
    }

    [Fact]
    public void Each_used_buffer_fires_the_queues_vector_and_a_masked_one_stays_pending()
    {
        using var machine = new BlockMachine(new MemoryDisk(1 << 20), features: ~Driver.EventIndex);
        machine.Driver.UseMsix();
        Assert.Equal(2, machine.Bus.Kvm.Irqfds.Count);
        machine.Ask(0, 0, 512, toDevice: false);
        machine.Bus.Kvm.Deliver();
        Assert.Equal(1, Assert.Single(machine.Bus.Kvm.Delivered).Value);
        machine.Bus.Write(0x401c, 4, 1);
        machine.Ask(0, 0, 512, toDevice: false);
        machine.Bus.Kvm.Deliver();
        Assert.Equal(1, Assert.Single(machine.Bus.Kvm.Delivered).Value);
        Assert.Equal(2ul, machine.Bus.Read(0x5000, 8));
        machine.Bus.Write(0x401c, 4, 0);
        machine.Bus.Kvm.Deliver();
        Assert.Equal(2, Assert.Single(machine.Bus.Kvm.Delivered).Value);
        Assert.Empty(machine.Bus.Kvm.Violations);
    }

    [Fact]
    public void A_driver_without_msix_reads_the_interrupt_status_which_clears_it()
    {
        using var machine = Machine();
        machine.Ask(0, 0, 512, toDevice: false);
        Assert.Equal(1ul, machine.Bus.Read(0x1000, 1));
        Assert.Equal(0ul, machine.Bus.Read(0x1000, 1));
    }

    [Fact]
    public void With_event_index_the_driver_is_interrupted_only_for_the_entry_that_it_named()
    {
        using var machine = Machine();
        machine.Driver.UseMsix();
        // used_event, behind the available ring: wake me when the third is used.
        machine.Driver.Memory(Driver.Available(0) + 4 + (2 * Driver.Entries), 2)[0] = 2;
        for (var i = 0; i < 2; i++)
            machine.Ask(0, 0, 512, toDevice: false);
        machine.Bus.Kvm.Deliver();
        Assert.Empty(machine.Bus.Kvm.Delivered);
        machine.Ask(0, 0, 512, toDevice: false);
        machine.Bus.Kvm.Deliver();
        Assert.Equal(1, Assert.Single(machine.Bus.Kvm.Delivered).Value);
        // avail_event, behind the used ring: tell me of the fourth.
        Assert.Equal(3, machine.Driver.Memory(Driver.Used(0) + 4 + (8 * Driver.Entries), 2)[0]);
    }

    [Fact]
    public void Where_kvm_takes_no_notice_the_trapped_write_serves()
    {
        using var bus = new ScriptedBus(new VirtioBlock("d", "d", new MemoryDisk(1 << 20)), takesNotices: false);
        _ = new Driver(bus);
        bus.Serve();
        bus.Write(0x3000, 2, 0);
        Assert.True(bus.Device.Notices[0].IsSignalled);
    }

    [Fact]
    public void The_machines_reset_leaves_a_device_as_it_was_at_first()
    {
        using var machine = Machine();
        machine.Driver.UseMsix();
        machine.Bus.Function.WriteConfig(0x10, 4, 0xc000_0000);
        machine.Bus.Function.Reset();
        Assert.Equal(ScriptedBus.Bar, machine.Bus.Config(0x10));
        Assert.Equal(0x0010_0000u, machine.Bus.Config(4));
        Assert.Empty(machine.Bus.Notices);
        Assert.Empty(machine.Bus.Kvm.Irqfds);
        var again = new Driver(machine.Bus);
        Assert.Equal(0xf, again.Status);
    }

    private static BlockMachine Machine() => new(new MemoryDisk(1 << 20));
}
