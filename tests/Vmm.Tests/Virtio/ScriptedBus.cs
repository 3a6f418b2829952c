using Exitless.Linux;
using Exitless.Vmm.Interrupts;
using Exitless.Vmm.Memory;
using Exitless.Vmm.Pci;
using Exitless.Vmm.Tests.Vfio;
using Exitless.Vmm.Virtio;

namespace Exitless.Vmm.Tests.Virtio;

/// <summary>
/// A paravirtual device on a bus with real guest memory, and no KVM: the test is the driver and the worker at once, so that nothing waits.
/// Notifications that KVM would take are signalled as KVM would.
/// </summary>
internal sealed class ScriptedBus : IIoEventFds, IDisposable
{
    public const uint Bar = 0xdff0_0000;
    private readonly DisposeStack _owned = new();

    public ScriptedBus(VirtioDevice device, ulong ramBytes = 4 << 20, bool takesNotices = true)
    {
        TakesNotices = takesNotices;
        Device = _owned.Push(device);
        Memory = _owned.Push(new GuestMemory(ramBytes));
        var routes = new GsiRoutes(Kvm, device.Queues.Length + 1);
        Vectors = _owned.Push(new VirtioVectors(Kvm, routes, device.Queues.Length + 1));
        Function = _owned.Push(new VirtioFunction(device, new GuestRam(Memory.Ranges), Vectors, this, Bar));
        Bus.Add(Function);
    }

    public ScriptedKvm Kvm { get; } = new();

    public bool TakesNotices { get; }

    public Dictionary<ulong, EventFd> Notices { get; } = [];

    public VirtioDevice Device { get; }

    public GuestMemory Memory { get; }

    public VirtioVectors Vectors { get; }

    public VirtioFunction Function { get; }

    public PciBus Bus { get; } = new();

    public bool TryAssignIoEventFd(EventFd notice, ulong address) => TakesNotices && Notices.TryAdd(address, notice);

    public void DeassignIoEventFd(EventFd notice, ulong address) => Assert.True(Notices.Remove(address));

    public uint Config(int offset, int size = 4) => Function.ReadConfig(offset, size);

    public ulong Read(int offset, int size)
    {
        Assert.True(Bus.TryReadMemory(Bar + (ulong)offset, size, out var value));
        return value;
    }

    public void Write(int offset, int size, ulong value)
    {
        if (Notices.TryGetValue(Bar + (ulong)offset, out var notice))
            notice.Signal();
        else
            Bus.WriteMemory(Bar + (ulong)offset, size, value);
    }

    /// <summary>Does the worker's work for every queue that was notified.</summary>
    public void Serve()
    {
        for (var i = 0; i < Device.Notices.Length; i++)
        {
            if (Device.Notices[i].IsSignalled)
                Device.Serve(i);
        }
    }

    public void Dispose() => _owned.Dispose();
}
