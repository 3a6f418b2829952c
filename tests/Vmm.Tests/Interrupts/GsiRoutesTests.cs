using CsCheck;
using Exitless.Linux;
using Exitless.Linux.Kvm;
using Exitless.Vmm.Interrupts;
using Exitless.Vmm.Tests.Vfio;

namespace Exitless.Vmm.Tests.Interrupts;

public class GsiRoutesTests
{
    private readonly ScriptedKvm _kvm = new();

    [Fact]
    public void The_first_table_has_the_pins_of_the_IOAPIC_and_nothing_else()
    {
        _ = new GsiRoutes(_kvm, 5);
        Assert.Equal(24, _kvm.Table.Length);
        Assert.All(_kvm.Table, (e, pin) => Assert.Equal(((uint)pin, KvmRoutingEntry.Irqchip, KvmRoutingEntry.IoApic, (uint)pin), (e.Gsi, e.Type, e.AddressLow, e.AddressHigh)));
    }

    [Fact]
    public void A_KVM_without_routing_ends_the_launch() => Assert.Throws<LinuxException>(() => new GsiRoutes(new NoRouting(), 0));

    [Fact]
    public void A_route_is_written_once_and_only_when_it_changes()
    {
        var routes = new GsiRoutes(_kvm, 2);
        var gsi = routes.Allocate();
        Assert.Equal(24, gsi);
        Assert.False(routes.TryRoute(gsi, 0x2_fee0_1000, 0x41));
        Assert.True(routes.TryRoute(gsi, 0x200_fee0_1000, 0x41));
        Assert.True(routes.TryRoute(gsi, 0x200_fee0_1000, 0x41));
        Assert.Equal(2, _kvm.Tables);
        var entry = Assert.Single(_kvm.Table, e => e.Gsi == 24);
        Assert.Equal((KvmRoutingEntry.Msi, 0u, 0xfee0_1000u, 0x200u, 0x41u), (entry.Type, entry.Flags, entry.AddressLow, entry.AddressHigh, entry.Data));
    }

    [Fact]
    public void A_message_that_KVM_refuses_leaves_the_routes_as_they_were_and_the_next_one_free()
    {
        var routes = new GsiRoutes(_kvm, 2);
        int first = routes.Allocate(), second = routes.Allocate();
        Assert.True(routes.TryRoute(first, 0xfee0_0000, 1));
        Assert.False(routes.TryRoute(first, 0xff_fee0_0000, 2));
        Assert.False(routes.TryRoute(second, 0xff_fee0_0000, 3));
        Assert.True(routes.TryRoute(second, 0xfee0_0000, 4));
        Assert.Equal([1u, 4u], _kvm.Table[24..].Select(e => e.Data));
    }

    [Fact]
    public void The_table_grows_up_to_what_KVM_takes_and_then_there_are_no_more_GSIs()
    {
        var routes = new GsiRoutes(_kvm);
        for (var gsi = 24; gsi < 4096; gsi++)
            Assert.Equal(gsi, routes.Allocate());
        Assert.Equal(-1, routes.Allocate());
        foreach (var gsi in new[] { 24, 2000, 4095 })
            Assert.True(routes.TryRoute(gsi, 0xfee0_0000, (uint)gsi));
        Assert.Equal([24u, 2000u, 4095u], _kvm.Table[24..].Select(e => e.Data));
        routes.Free([2000]);
        Assert.Equal((2000, 4096), (routes.Allocate(), routes.Taken));
    }

    [Fact]
    public void Freed_GSIs_lose_their_routes_with_one_table_and_come_again_without()
    {
        var routes = new GsiRoutes(_kvm, 8);
        var gsis = Enumerable.Range(0, 6).Select(_ => routes.Allocate()).ToArray();
        foreach (var gsi in gsis)
            Assert.True(routes.TryRoute(gsi, 0xfee0_0000, (uint)gsi));
        var before = _kvm.Tables;
        routes.Free([24, 26, 29]);
        Assert.Equal(before + 1, _kvm.Tables);
        Assert.Equal([25u, 27u, 28u], _kvm.Table[24..].Select(e => e.Gsi).Order());
        Assert.Equal((24, 26, 29, 30), (routes.Allocate(), routes.Allocate(), routes.Allocate(), routes.Allocate()));
        Assert.Equal([25u, 27u, 28u], _kvm.Table[24..].Select(e => e.Gsi).Order());
        // The pins of the IOAPIC are nobody's to free or to change.
        routes.Free([4]);
        Assert.Equal(27, _kvm.Table.Length);
        Assert.False(routes.TryRoute(5, 0xfee0_0000, 1));
    }

    /// <summary>Two would keep KVM from posting the interrupts of that GSI.</summary>
    [Fact]
    public void Each_GSI_has_exactly_one_route_whatever_is_asked_for() => Gen.Select(Gen.Int[0, 7], Gen.Int[0, 3], Gen.UInt[0, 3]).Array[1, 60].Sample(
        asked =>
        {
            var kvm = new ScriptedKvm();
            var routes = new GsiRoutes(kvm, 8);
            var gsis = Enumerable.Range(0, 8).Select(_ => routes.Allocate()).ToArray();
            var accepted = new Dictionary<int, uint>();
            foreach (var (index, high, data) in asked)
            {
                // One in four is a message that KVM refuses.
                if (routes.TryRoute(gsis[index], high == 0 ? 0x1_fee0_0000ul : 0xfee0_0000ul, data))
                    accepted[gsis[index]] = data;
                Assert.All(Enumerable.Range(0, 24), pin => Assert.Equal(KvmRoutingEntry.Irqchip, Assert.Single(kvm.Table, e => e.Gsi == pin).Type));
                Assert.All(accepted, route => Assert.Equal((KvmRoutingEntry.Msi, route.Value), Single(kvm, route.Key)));
                Assert.Equal(24 + accepted.Count, kvm.Table.Length);
            }
        },
        iter: 200, threads: 1);

    [Fact]
    public void Routing_allocates_nothing_once_warm()
    {
        var routes = new GsiRoutes(_kvm, 3);
        _kvm.Silent = true;
        var gsi = routes.Allocate();
        for (uint i = 0; i < 50; i++)
            routes.TryRoute(gsi, 0xfee0_0000, i);
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (uint i = 0; i < 200; i++)
            routes.TryRoute(gsi, 0xfee0_0000, i);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    private static (uint Type, uint Data) Single(ScriptedKvm kvm, int gsi)
    {
        var entry = Assert.Single(kvm.Table, e => e.Gsi == gsi);
        return (entry.Type, entry.Data);
    }

    private sealed class NoRouting : IGsiTable
    {
        public bool TrySetRoutes(Span<byte> table) => false;
    }
}
