using CsCheck;
using Exitless.Linux.Kvm;
using Exitless.Vmm.Interrupts;
using Exitless.Vmm.Tests.Vfio;

namespace Exitless.Vmm.Tests.Interrupts;

/// <summary>The IOAPIC of a split irqchip: what its registers show, and which message each pin is for KVM.</summary>
public class IoApicTests
{
    private readonly ScriptedKvm _kvm = new();
    private readonly GsiRoutes _routes;
    private readonly IoApic _apic;

    public IoApicTests()
    {
        _routes = new GsiRoutes(_kvm, splitIrqchip: true);
        _apic = new IoApic(_routes);
    }

    [Fact]
    public void It_has_24_masked_pins_without_routes()
    {
        Assert.Empty(_kvm.Table);
        Assert.Equal(0x0017_0011u, Read(1));
        for (var pin = 0u; pin < 24; pin++)
            Assert.Equal((0x1_0000u, 0u), (Read(0x10 + (2 * pin)), Read(0x11 + (2 * pin))));
        Assert.Equal(0u, Read(0x40));
        // The pins' GSIs stay the pins'.
        Assert.Equal(24, _routes.Allocate());
    }

    [Fact]
    public void An_open_pin_is_one_message_and_a_masked_one_none()
    {
        Write(0x19, 0x0300_0000);
        Write(0x18, 0x1_0041);
        Assert.Empty(_kvm.Table);
        Write(0x18, 0x0841);
        var entry = Assert.Single(_kvm.Table);
        Assert.Equal((4u, KvmRoutingEntry.Msi, 0xfee0_3004u, 0u, 0x041u), (entry.Gsi, entry.Type, entry.AddressLow, entry.AddressHigh, entry.Data));
        Write(0x19, 0x0500_0000);
        Assert.Equal(0xfee0_5004u, Assert.Single(_kvm.Table).AddressLow);
        Write(0x18, 0x1_0841);
        Assert.Empty(_kvm.Table);
    }

    [Fact]
    public void A_level_triggered_entry_reads_back_and_is_an_edge_for_KVM()
    {
        // Trigger mode 15, and bits that only hardware sets: 12 and 14.
        Write(0x1a, 0xd055);
        Assert.Equal(0x8055u, Read(0x1a));
        Assert.Equal(0x55u, Assert.Single(_kvm.Table).Data);
    }

    [Fact]
    public void An_external_interrupt_and_an_absent_register_reach_nobody()
    {
        Write(0x10, 0x0700);
        Write(0x40, 0xffff_ffff);
        Write(0xff, 0xffff_ffff);
        _apic.Write(0x20, 4, 5);
        _apic.Write(0x10, 1, 5);
        Assert.Empty(_kvm.Table);
        Assert.Equal((0u, 0u), (_apic.Read(0x20, 4), _apic.Read(0x10, 8)));
    }

    [Fact]
    public void Reset_masks_every_pin_and_leaves_the_devices_routes()
    {
        var gsi = _routes.Allocate();
        Assert.True(_routes.TryRoute(gsi, 0xfee0_0000, 0x31));
        Write(0, 0xffff_ffff);
        Assert.Equal(0x0f00_0000u, Read(0));
        for (var pin = 0u; pin < 24; pin++)
            Write(0x10 + (2 * pin), 0x30 + pin);
        Assert.Equal(25, _kvm.Table.Length);
        _apic.Reset();
        Assert.Equal(((uint)gsi, 0x31u), Assert.Single(_kvm.Table) is var left ? (left.Gsi, left.Data) : default);
        Assert.Equal((0u, 0x1_0000u), (Read(0), Read(0x10)));
    }

    [Fact]
    public void Whatever_a_guest_writes_there_is_at_most_one_route_a_pin_and_nothing_is_thrown()
    {
        Check.Sample(
            Gen.Select(Gen.ULong[0, 0x100], Gen.Int[1, 8], Gen.UInt).Array[1, 200],
            writes =>
            {
                var kvm = new ScriptedKvm();
                var apic = new IoApic(new GsiRoutes(kvm, splitIrqchip: true));
                foreach (var (offset, size, value) in writes)
                {
                    apic.Write(offset < 0x80 ? 0UL : 0x10, size < 6 ? 4 : size, value);
                    apic.Read(offset, size);
                }
                Assert.True(kvm.Table.Length <= 24);
                Assert.Equal(kvm.Table.Length, kvm.Table.Select(e => e.Gsi).Distinct().Count());
            },
            iter: FuzzRuns.Count / 10);
    }

    private uint Read(uint register)
    {
        _apic.Write(0, 4, register);
        return _apic.Read(0x10, 4);
    }

    private void Write(uint register, uint value)
    {
        _apic.Write(0, 4, register);
        _apic.Write(0x10, 4, value);
    }
}
