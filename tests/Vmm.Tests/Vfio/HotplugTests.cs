using Exitless.Linux;
using Exitless.Linux.Vfio;
using Exitless.Vmm.Control;
using Exitless.Vmm.Interrupts;
using Exitless.Vmm.Memory;
using Exitless.Vmm.Pci;
using Exitless.Vmm.Vfio;

namespace Exitless.Vmm.Tests.Vfio;

/// <summary>Devices that come to a running guest and go again, with a guest that is played by the test.</summary>
public sealed class HotplugTests : IDisposable
{
    private static readonly TimeSpan Generous = TimeSpan.FromSeconds(60);

    private readonly ScriptedSpace _space = new();
    private readonly ScriptedKvm _kvm = new();
    private readonly PciBus _bus = new();
    private readonly GsiRoutes _routes;
    private readonly MemorySlotNumbers _numbers = new(1);
    private readonly SemaphoreSlim _happened = new(0);
    private readonly EventFd _interrupt = new();
    private readonly List<VmmDeviceEvent> _events = [];
    private readonly MachineDevices _machine;

    public HotplugTests()
    {
        _routes = new GsiRoutes(_kvm);
        _machine = new MachineDevices(_space, (_kvm, _kvm, _kvm), _numbers, _routes, _bus, _interrupt, () => _happened.Release(), TimeProvider.System, peers: true);
    }

    [Fact]
    public async Task A_device_is_announced_used_asked_back_ejected_and_leaves_nothing()
    {
        _machine.Attach([Device("0000:01:10.0")], new DeviceDescriptors());
        Assert.Equal(1ul, _interrupt.Take());
        Assert.Equal(1u << 1, _machine.Hotplug.ReadPort(0, 4));
        Assert.Equal(0u, _machine.Hotplug.ReadPort(0, 4));
        // Its BARs have no place yet: the guest finds one.
        Assert.Equal((0x10ca_8086u, 0xcu), (_bus.ReadConfig(8, 0, 4), _bus.ReadConfig(8, 0x10, 4)));
        Use();
        Assert.Equal((1, 3, 1), (_kvm.Irqfds.Count, _kvm.Shown.Count, _space.PeerMappings == 3 ? 1 : 0));

        using var released = new SemaphoreSlim(0);
        _machine.Detach("0000:01:10.0", Generous, () => released.Release());
        Assert.Equal(1u << 1, _machine.Hotplug.ReadPort(4, 4));
        Assert.Equal(0u, _machine.Hotplug.ReadPort(4, 4));
        _machine.Hotplug.WritePort(8, 4, 1u << 1);
        Assert.True(await released.WaitAsync(Generous, TestContext.Current.CancellationToken));
        Assert.Equal([DeviceChange.Attached, DeviceChange.EjectAsked, DeviceChange.Ejected], await EventsAsync(3));
        AssertNothingLeft();
    }

    [Fact]
    public async Task A_guest_that_does_not_answer_loses_the_device_all_the_same()
    {
        _machine.Attach([Device("0000:01:10.0")], new DeviceDescriptors());
        Use();
        using var released = new SemaphoreSlim(0);
        _machine.Detach("0000:01:10.0", TimeSpan.FromMilliseconds(1), () => released.Release());
        Assert.True(await released.WaitAsync(Generous, TestContext.Current.CancellationToken));
        Assert.Contains(DeviceChange.Forced, await EventsAsync(3));
        AssertNothingLeft();
    }

    [Fact]
    public async Task Fifty_times_in_and_out_takes_the_same_slot_GSI_and_memory_slots()
    {
        for (var i = 0; i < 50; i++)
        {
            _machine.Attach([Device("0000:01:10.0")], new DeviceDescriptors());
            Use();
            Assert.Equal([24], _kvm.Irqfds.Keys);
            Assert.Equal(3, _numbers.Taken);
            using var released = new SemaphoreSlim(0);
            _machine.Detach("0000:01:10.0", Generous, () => released.Release());
            _machine.Hotplug.WritePort(8, 4, 1u << 1);
            Assert.True(await released.WaitAsync(Generous, TestContext.Current.CancellationToken));
            AssertNothingLeft();
            Assert.Empty(_space.Opened["0000:01:10.0"].Violations);
        }
    }

    [Fact]
    public async Task What_the_host_wants_back_is_asked_of_the_guest_and_told_once()
    {
        _space.Prepare = (_, device) => device.NewsCount = 1;
        _machine.Attach([Device("0000:01:10.0")], new DeviceDescriptors());
        var hardware = _space.Opened["0000:01:10.0"];
        hardware.Others[VfioInterrupt.Request][0]!.Signal();
        Assert.Equal([DeviceChange.Attached, DeviceChange.HostWantsIt, DeviceChange.EjectAsked], await EventsAsync(3));
        hardware.Others[VfioInterrupt.Request][0]!.Signal();
        _machine.Hotplug.WritePort(8, 4, 1u << 1);
        Assert.Equal(DeviceChange.Ejected, (await EventsAsync(4))[3]);
        AssertNothingLeft();
    }

    [Fact]
    public async Task An_error_on_the_bus_is_told_and_the_guest_asked_to_let_go()
    {
        _space.Prepare = (_, device) => device.NewsCount = 1;
        _machine.Attach([Device("0000:01:10.0")], new DeviceDescriptors());
        _space.Opened["0000:01:10.0"].Others[VfioInterrupt.Error][0]!.Signal();
        Assert.Equal([DeviceChange.Attached, DeviceChange.Error, DeviceChange.EjectAsked], await EventsAsync(3));
        Assert.Equal(1u << 1, _machine.Hotplug.ReadPort(4, 4));
    }

    [Fact]
    public async Task Functions_of_one_device_share_a_slot_and_go_together_and_VFs_do_not()
    {
        _space.Prepare = (address, device) =>
        {
            // All of them carry the bit; only this one has a pin.
            if (address.EndsWith("1c.0", StringComparison.Ordinal))
                (device.IntxCount, device.Bytes[0x3d]) = (1, 1);
        };
        _machine.Attach([Device("0000:01:10.0"), Device("0000:00:1c.0"), Device("0000:01:10.2"), Device("0000:00:1c.1")], new DeviceDescriptors());
        Assert.Equal([1, 1, 2], _machine.Set.Slots.Select(s => s.Devices.Count).Order());
        var whole = _machine.Set.Find("0000:00:1c.1")!;
        Assert.Same(whole, _machine.Set.Find("0000:00:1c.0"));
        Assert.Equal(0x80u, _bus.ReadConfig((uint)whole.Number << 3, 0x0e, 1));
        Assert.Equal(0x10ca_8086u, _bus.ReadConfig(((uint)whole.Number << 3) | 1, 0, 4));
        using var released = new SemaphoreSlim(0);
        _machine.Detach("0000:00:1c.1", TimeSpan.Zero, () => released.Release());
        Assert.True(await released.WaitAsync(Generous, TestContext.Current.CancellationToken));
        Assert.Equal(["0000:01:10.0", "0000:01:10.2"], _space.Inside.Order());
    }

    [Fact]
    public void Eight_devices_are_reset_at_the_same_time()
    {
        // Each opening waits for all: in a row none would ever be done.
        using var together = new Barrier(8);
        _space.Opening = _ => Assert.True(together.SignalAndWait(Generous));
        _machine.Attach([.. Enumerable.Range(0, 8).Select(i => Device($"0000:01:1{i}.0"))], new DeviceDescriptors());
        Assert.Equal(8, _machine.Set.Slots.Count);
    }

    [Fact]
    public void If_some_fail_all_are_named_and_none_stays()
    {
        _space.Prepare = (address, device) =>
        {
            if (address is "0000:01:11.0" or "0000:01:13.0")
                device.SetBar(0, 0x3000);
        };
        var problem = Assert.Throws<VmmProblemException>(() => _machine.Attach([.. Enumerable.Range(0, 5).Select(i => Device($"0000:01:1{i}.0"))], new DeviceDescriptors()));
        Assert.Equal("device-bar-unsupported", problem.Code);
        Assert.Contains("0000:01:11.0", problem.Detail, StringComparison.Ordinal);
        Assert.Contains("0000:01:13.0", problem.Detail, StringComparison.Ordinal);
        Assert.All(_space.Opened.Values, d => Assert.Equal("close", d.Journal[^1]));
        AssertNothingLeft();
    }

    [Fact]
    public async Task A_guest_that_ends_while_a_device_is_being_opened_releases_it()
    {
        var cancellation = TestContext.Current.CancellationToken;
        using var opening = new SemaphoreSlim(0);
        using var open = new SemaphoreSlim(0);
        _space.Opening = _ =>
        {
            opening.Release();
            Assert.True(open.Wait(Generous, cancellation));
        };
        var attach = Task.Run(() => _machine.Attach([Device("0000:01:10.0")], new DeviceDescriptors()), cancellation);
        Assert.True(await opening.WaitAsync(Generous, cancellation));
        var end = Task.Run(_machine.Dispose, cancellation);
        open.Release();
        await Task.WhenAll(attach, end).WaitAsync(Generous, cancellation);
        Assert.Empty(_space.Inside);
        Assert.Equal("close", _space.Opened["0000:01:10.0"].Journal[^1]);
        AssertNothingLeft();
    }

    [Fact]
    public void A_device_that_is_there_or_is_not_is_refused_by_name()
    {
        _machine.Attach([Device("0000:01:10.0")], new DeviceDescriptors());
        Assert.Equal("device-twice", Assert.Throws<VmmProblemException>(() => _machine.Attach([Device("0000:01:10.0")], new DeviceDescriptors())).Code);
        Assert.Equal("device-twice", Assert.Throws<VmmProblemException>(() => _machine.Attach([Device("0000:01:10.2"), Device("0000:01:10.2")], new DeviceDescriptors())).Code);
        Assert.Equal("device-not-assigned", Assert.Throws<VmmProblemException>(() => _machine.Detach("0000:01:10.2", Generous, () => { })).Code);
        // What is given back that nobody has, or that is no assigned device, disturbs nobody.
        _machine.Hotplug.WritePort(8, 4, 0xffff_fffd);
        _machine.Hotplug.WritePort(8, 2, 2);
        Assert.Equal(["0000:01:10.0"], _space.Inside);
    }

    [Fact]
    public void When_the_bus_is_full_a_device_is_refused_and_given_back()
    {
        while (_bus.FindFree() >= 0)
            _bus.Add(new HostBridge());
        Assert.Equal("too-many-devices", Assert.Throws<VmmProblemException>(() => _machine.Attach([Device("0000:01:10.0")], new DeviceDescriptors())).Code);
        Assert.Empty(_space.Inside);
        Assert.Equal("close", _space.Opened["0000:01:10.0"].Journal[^1]);
    }

    public void Dispose()
    {
        _machine.Dispose();
        _happened.Dispose();
        Assert.Empty(_space.Inside);
    }

    private static VfioDeviceConfig Device(string address) => new(address, 7);

    /// <summary>As a driver does: places BARs, switches them on, opens a vector.</summary>
    private void Use()
    {
        _bus.WriteConfig(8, 0x10, 4, 0xd000_0000);
        _bus.WriteConfig(8, 0x1c, 4, 0xd000_4000);
        _bus.WriteConfig(8, 4, 2, 6);
        _bus.WriteConfig(8, 0x72, 2, 0x8000);
        _bus.WriteMemory(0xd000_4000, 8, 0xfee0_0000);
        _bus.WriteMemory(0xd000_4008, 8, 0x40);
    }

    private void AssertNothingLeft()
    {
        Assert.Equal(uint.MaxValue, _bus.ReadConfig(8, 0, 4));
        Assert.Equal((0, 0, 0, 0, 24), (_kvm.Irqfds.Count, _kvm.Shown.Count, _numbers.Taken, _space.PeerMappings, _routes.Taken));
        Assert.Empty(_space.Inside);
        Assert.Empty(_machine.Set.TakeVectors());
    }

    private async Task<List<DeviceChange>> EventsAsync(int count)
    {
        while (true)
        {
            while (_machine.TakeEvent() is { } one)
                _events.Add(one);
            if (_events.Count >= count)
                return [.. _events.Select(e => e.Change)];
            Assert.True(await _happened.WaitAsync(Generous, TestContext.Current.CancellationToken), $"{count} events were awaited; {_events.Count} came.");
        }
    }
}
