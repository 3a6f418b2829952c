using Exitless.Linux;
using Exitless.Linux.Vfio;
using Exitless.Vmm.Control;

namespace Exitless.Vmm.Tests.Vfio;

/// <summary>INTx, MSI and MSI-X of one device: one at a time, the best that the guest has switched on.</summary>
public class InterruptModeTests
{
    private const int Msi = 0x50;

    [Fact]
    public void The_pin_opens_when_the_device_is_enabled_with_the_irqfd_first_and_the_unmasking_last()
    {
        using var machine = Legacy();
        Assert.Equal(1u, machine.Read(0x3d, 1));
        Assert.Equal("none", machine.Device.TakeVectors().Kind);
        machine.Journal.Clear();
        machine.Write(0x04, 6, 2);
        Assert.Equal(["level 16", "intx 0+1", "unmask"], machine.Journal.Where(j => !j.StartsWith("show", StringComparison.Ordinal) && !j.StartsWith("command", StringComparison.Ordinal)));
        var level = Assert.Single(machine.Kvm.Levels);
        Assert.Same(machine.Hardware.Others[VfioInterrupt.Intx][0], level.Trigger);
        Assert.Same(machine.Hardware.Unmask, level.Resample);
        Assert.Equal(("intx", 16), (machine.Device.TakeVectors().Kind, machine.Device.TakeVectors().PinGsi));
        // The bit that disables it is VFIO's own to follow.
        machine.Write(0x04, 0x406, 2);
        Assert.Single(machine.Kvm.Levels);
        machine.Write(0x04, 0, 2);
        Assert.Empty(machine.Kvm.Levels);
        Assert.Equal("deassign 16", machine.Journal[^1]);
        machine.AssertSound();
    }

    [Fact]
    public void Slots_turn_the_pins_so_that_neighbours_share_none()
    {
        Assert.Equal([16, 17, 18, 19], Enumerable.Range(1, 4).Select(pin => Exitless.Vmm.Acpi.PciPins.Gsi(1, pin)));
        Assert.Equal([16, 17, 18, 19, 20, 21, 22, 23, 16], Enumerable.Range(1, 9).Select(slot => Exitless.Vmm.Acpi.PciPins.Gsi(slot, 1)));
    }

    [Fact]
    public void MSI_goes_before_INTx_MSIX_before_both_and_the_lesser_come_back()
    {
        using var machine = Legacy();
        machine.EnableMemory();
        machine.Journal.Clear();
        EnableMsi(machine, count: 0, data: 0x41);
        Assert.Equal(["intx off", "deassign 16", "routes 1", "msi 0+1", "assign 24"], machine.Journal);
        Assert.Equal(0x41u, machine.Route(24).Data);
        Assert.Equal("msi", machine.Device.TakeVectors().Kind);
        machine.Journal.Clear();
        machine.Write(0x72, 0x8000, 2);
        Assert.Equal(["deassign 24", "msi off", "routes 0", "msix 0+1"], machine.Journal);
        machine.Program(0, 0x50);
        machine.AssertSound();
        machine.Write(0x72, 0, 2);
        Assert.Equal("msi", machine.Device.TakeVectors().Kind);
        machine.Write(Msi + 2, 0, 2);
        Assert.Equal(("intx", 24), (machine.Device.TakeVectors().Kind, machine.Routes.Taken));
        Assert.Single(machine.Kvm.Levels);
        machine.AssertSound();
    }

    [Fact]
    public void Several_MSI_vectors_differ_in_the_low_bits_of_their_data()
    {
        using var machine = Legacy();
        machine.EnableMemory();
        EnableMsi(machine, count: 2, data: 0x4c);
        Assert.Equal([0x4cu, 0x4d, 0x4e, 0x4f], Enumerable.Range(24, 4).Select(gsi => machine.Route(gsi).Data));
        Assert.Equal([24, 25, 26, 27], machine.Kvm.Irqfds.Keys.Order());
        // A new affinity: four routes, and every irqfd stays.
        machine.Journal.Clear();
        machine.Write(Msi + 4, 0xfee0_5000);
        Assert.Equal(["routes 4", "routes 4", "routes 4", "routes 4"], machine.Journal);
        machine.Hardware.Others[VfioInterrupt.Msi][3]!.Signal();
        machine.Kvm.Deliver();
        Assert.Equal(1, machine.Kvm.Delivered[27]);
    }

    [Fact]
    public void A_host_with_fewer_vectors_gives_those_and_the_others_are_counted()
    {
        using var machine = Legacy(d => d.HostHas = 3);
        machine.EnableMemory();
        EnableMsi(machine, count: 3, data: 0x48);
        var vectors = machine.Device.TakeVectors();
        Assert.Equal((2, 6), (vectors.Vectors.Count, vectors.Refused));
        Assert.Contains("has 3 interrupt vectors", vectors.RefusedBecause, StringComparison.Ordinal);
        Assert.Equal([24, 25], machine.Kvm.Irqfds.Keys.Order());
        Assert.Single(machine.Log);
    }

    [Fact]
    public void The_capability_shows_no_masks_and_no_bit_of_it_reaches_the_device()
    {
        using var machine = Legacy();
        Assert.Equal(0x0086_7005u, machine.Read(Msi));
        machine.Write(Msi, 0xffff_ffff);
        Assert.Equal(0x00f7_7005u, machine.Read(Msi));
        machine.Write(Msi + 0x10, 0xffff_ffff);
        Assert.Equal((0u, 0u), (machine.Read(Msi + 0x10), machine.Read(Msi + 0x14)));
        Assert.Equal(0x0186_7005u, BitConverter.ToUInt32(machine.Hardware.Bytes, Msi));
    }

    [Theory]
    [InlineData("irqfd")]
    [InlineData("host")]
    [InlineData("unmask")]
    public void A_pin_that_cannot_be_had_leaves_nothing_behind_and_is_said_once(string defect)
    {
        using var machine = Legacy(d => (d.RefuseMsix, d.RefuseUnmask) = (defect == "host" ? Errno.Busy : 0, defect == "unmask"));
        machine.Kvm.RefuseIrqfds = defect == "irqfd";
        machine.EnableMemory();
        machine.Write(0x04, 0, 2);
        machine.EnableMemory();
        Assert.Empty(machine.Kvm.Levels);
        Assert.DoesNotContain(VfioInterrupt.Intx, machine.Hardware.Others.Keys);
        Assert.Contains("INTx does not work", Assert.Single(machine.Log), StringComparison.Ordinal);
        machine.AssertSound();
    }

    [Fact]
    public void A_split_irqchip_has_no_pins_and_refuses_a_device_that_has_nothing_else()
    {
        using (var machine = new AssignedMachine(Pin, splitIrqchip: true))
            Assert.Equal(0u, machine.Read(0x3d, 1));
        var problem = Assert.Throws<VmmProblemException>(() => new AssignedMachine(
            d =>
            {
                Pin(d);
                d.Word(0x34, 0xa0);
            },
            splitIrqchip: true));
        Assert.Equal(("device-needs-intx", "devices[0]"), (problem.Code, problem.Field));
    }

    [Fact]
    public void A_reset_by_the_guest_ends_MSI()
    {
        using var machine = Legacy();
        machine.EnableMemory();
        EnableMsi(machine, count: 1, data: 0x42);
        machine.Write(0xa8, 0x8000, 2);
        Assert.Equal(("none", 24), (machine.Device.TakeVectors().Kind, machine.Routes.Taken));
        Assert.Equal(0u, machine.Read(Msi + 2, 2) & 0x71);
        machine.AssertSound();
    }

    private static AssignedMachine Legacy(Action<ScriptedDevice>? change = null) => new(d =>
    {
        Pin(d);
        d.MsiCount = 8;
        // MSI with eight vectors, 64 bits and masks, then MSI-X.
        d.Word(0x34, Msi);
        d.Word(Msi, 0x0186_7005);
        change?.Invoke(d);
    });

    private static void Pin(ScriptedDevice device)
    {
        device.IntxCount = 1;
        device.Word(0x3c, 0x0100);
    }

    private static void EnableMsi(AssignedMachine machine, uint count, uint data)
    {
        machine.Write(Msi + 4, 0xfee0_1000);
        machine.Write(Msi + 8, 0);
        machine.Write(Msi + 12, data, 2);
        machine.Write(Msi + 2, 1 | count << 4, 2);
    }
}
