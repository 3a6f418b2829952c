using System.Collections.Concurrent;
using Exitless.Linux;
using Exitless.Vmm.Control;
using Exitless.Vmm.Interrupts;
using Exitless.Vmm.Kvm;
using Exitless.Vmm.Memory;
using Exitless.Vmm.Pci;

namespace Exitless.Vmm.Vfio;

/// <summary>All that a machine has for assigned devices: the devices, the guest's slots, and who looks after both.</summary>
internal sealed class MachineDevices : IMachineDevices, IDisposable
{
    /// <summary>Events that nobody has fetched; the oldest go first.</summary>
    private const int MostEvents = 256;

    private readonly ConcurrentQueue<VmmDeviceEvent> _events = new();
    private readonly DeviceBell _bell = new();
    private readonly Action _happened;
    private readonly TimeProvider _time;
    private readonly DeviceWatch _watch;
    private readonly EventFd _interrupt;
    private readonly InterruptDetour _detour;
    private readonly GsiRoutes _routes;
    private readonly Lock _gate = new();
    private long _lastEvent;
    private bool _disposed;

    /// <summary>Puts the parts together; there is no device yet.</summary>
    /// <param name="makeSpace">Where devices' DMA goes.</param>
    /// <param name="vm">The VM's memory slots, irqfds and pins of the IOAPIC; no pins with a split irqchip.</param>
    /// <param name="numbers">The numbers of memory slots.</param>
    /// <param name="routes">KVM's routes.</param>
    /// <param name="bus">The guest's bus.</param>
    /// <param name="interrupt">Tells the guest that a slot has changed; belongs to this from now on.</param>
    /// <param name="happened">Called, from any thread, when there is an event.</param>
    /// <param name="time">The clock.</param>
    /// <param name="peers">True if devices may reach each other's BARs.</param>
    /// <param name="injected">True if interrupts are injected even where they could be posted.</param>
    /// <param name="suspend">Suspends direct mode, or takes it up again; null: the VM has none.</param>
    public MachineDevices(
        IDmaSpace makeSpace, (IMemorySlots Slots, IIrqfds Irqfds, ILevelIrqfds? Level) vm, MemorySlotNumbers numbers, GsiRoutes routes, PciBus bus, EventFd interrupt, Action happened, TimeProvider time, bool peers, bool injected = false, Action<bool>? suspend = null)
    {
        _happened = happened;
        _time = time;
        _interrupt = interrupt;
        _routes = routes;
        _detour = new InterruptDetour(vm.Irqfds, injected, suspend);
        var assembly = new DeviceAssembly(vm.Slots, numbers, _detour, vm.Level, routes, Refused, _bell.Deferred);
        Set = new DeviceSet(makeSpace, assembly, bus, peers);
        Hotplug = new HotplugController(interrupt.Signal, _bell.Ejected);
        _watch = new DeviceWatch(Set, Hotplug, _bell, Report, time);
    }

    public DeviceSet Set { get; }

    public HotplugController Hotplug { get; }

    /// <summary>Brings the devices of a launch in.</summary>
    /// <param name="config">The VM.</param>
    /// <param name="descriptors">What its devices need.</param>
    /// <param name="addressEnd">The first address that the guest's CPUs cannot name.</param>
    /// <returns>The window for BARs above 4 GiB; null if there is no room for one.</returns>
    public (ulong Start, ulong End)? Launch(VmConfig config, DeviceDescriptors descriptors, ulong addressEnd)
    {
        (ulong Start, ulong End)? needed = null;
        if (config.Devices.Count > 0)
        {
            Set.Launch(config.Devices, descriptors, (requests, ranges) =>
            {
                addressEnd = ranges.Last == ulong.MaxValue ? addressEnd : Math.Min(addressEnd, ranges.Last + 1);
                needed = BarPlacement.Place(requests, (ulong)config.MemoryBytes, addressEnd);
                foreach (var request in requests.Where(r => !r.IsIo))
                    ranges.Check($"BAR {request.Index} of {request.Device}", request.Address, request.Size, request.Field);
            });
            foreach (var slot in Set.Slots)
                _watch.Add(slot);
        }
        return BarPlacement.WithRoom(needed, (ulong)config.MemoryBytes, addressEnd);
    }

    public void Attach(IReadOnlyList<VfioDeviceConfig> devices, DeviceDescriptors descriptors)
    {
        var slots = Set.Plug(devices, descriptors);
        lock (_gate)
        {
            // A guest that ended meanwhile has them released by now, and nobody is left to tell.
            if (_disposed)
                return;
            foreach (var slot in slots)
            {
                _watch.Add(slot);
                foreach (var device in slot.Devices)
                    Report(device.Config.Address, DeviceChange.Attached, $"It is in slot {slot.Number} of the guest's bus.");
                Hotplug.Announce(slot.Number);
            }
        }
    }

    public void Detach(string address, TimeSpan limit, Action released)
    {
        var slot = Set.Find(address) ?? throw NotAssigned(address);
        _watch.AskBack(slot, limit, released);
    }

    /// <param name="topology">How the guest numbers its APICs.</param>
    public List<DeviceVectors> TakeVectors(CpuTopology topology)
    {
        var vcpus = Enumerable.Range(0, topology.Count).ToDictionary(topology.ApicId);
        int? Vcpu(int gsi) => _routes.Address(gsi) is { } address && MessageTarget.Of(address) is { } id && vcpus.TryGetValue(id, out var vcpu) ? vcpu : null;
        return [.. Set.TakeVectors().Select(d => d with { Vectors = [.. d.Vectors.Select(v => v with { Injected = _detour.IsInjected(v.Gsi), Vcpu = Vcpu(v.Gsi) })] })];
    }

    public void Switch(SwitchRequest request)
    {
        bool done;
        if (request.Address is not { } address)
        {
            done = _detour.TrySwitchAll(request.Injected);
        }
        else
        {
            var device = Set.TakeVectors().FirstOrDefault(d => string.Equals(d.Address, address, StringComparison.Ordinal)) ?? throw NotAssigned(address);
            var vectors = device.Vectors.Where(v => request.Vector is not { } wanted || v.Index == wanted).ToList();
            if (request.Vector is { } one && vectors.Count == 0)
            {
                throw new VmmProblemException("vector-not-in-use", "The device does not use this vector.",
                    $"{address} uses {(device.Vectors.Count == 0 ? "none" : string.Join(", ", device.Vectors.Select(v => v.Index)))}; {one} was named.", "Name one that it uses, or none for all.", "vector");
            }
            done = vectors.All(v => _detour.TrySwitch(v.Gsi, request.Injected));
        }
        if (!done)
            throw new VmmProblemException("switch-failed", "KVM refused to bind an interrupt to its new path.", $"{new LinuxException("KVM_IRQFD", Ioctl.LastError).Message}.", "Nothing is lost: that interrupt takes its old path. Look into the host's kernel log.", "");
    }

    public VmmDeviceEvent? TakeEvent() => _events.TryDequeue(out var one) ? one : null;

    public void Dispose()
    {
        lock (_gate)
        {
            if (_disposed)
                return;
            _disposed = true;
        }
        _watch.Dispose();
        Set.Dispose();
        _detour.Dispose();
        _bell.Dispose();
        _interrupt.Dispose();
    }

    private static VmmProblemException NotAssigned(string address) =>
        new("device-not-assigned", "The VM does not have this device.", $"{address} is not among its devices.", "Look at the VM's devices.", "address");

    private void Refused(string address, string text)
    {
        VmmLog.Write($"{address}: {text}");
        Report(address, DeviceChange.InterruptRefused, text);
    }

    private void Report(string address, DeviceChange change, string text)
    {
        _events.Enqueue(new VmmDeviceEvent(Interlocked.Increment(ref _lastEvent), address, change, text, _time.GetUtcNow().ToUnixTimeMilliseconds()));
        while (_events.Count > MostEvents)
            _events.TryDequeue(out _);
        _happened();
    }
}
