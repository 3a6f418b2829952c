using Exitless.Linux;
using Exitless.Linux.Vfio;
using Exitless.Vmm.Control;

namespace Exitless.Vmm.Vfio;

/// <summary>One assigned device on the guest's bus.</summary>
/// <param name="Config">What was asked for.</param>
/// <param name="FunctionNumber">Its number in the slot, 0 to 7.</param>
/// <param name="Function">The function that the guest sees.</param>
/// <param name="Requested">Signalled while the host wants the device back; null if the kernel does not tell.</param>
/// <param name="Failed">Signalled when PCI Express reports an error; null if the kernel does not tell.</param>
internal sealed record SlotDevice(VfioDeviceConfig Config, int FunctionNumber, AssignedDevice Function, EventFd? Requested, EventFd? Failed);

/// <summary>A slot of the guest's bus with the assigned devices in it, which come and go together.</summary>
internal sealed class DeviceSlot(int number) : IDisposable
{
    private readonly List<SlotDevice> _devices = [];

    /// <summary>1 to 31.</summary>
    public int Number => number;

    public IReadOnlyList<SlotDevice> Devices => _devices;

    /// <summary>Takes a device in, and lets the kernel tell of requests and errors.</summary>
    /// <param name="config">What was asked for.</param>
    /// <param name="number">Its number in the slot.</param>
    /// <param name="function">The function, which owns the device.</param>
    /// <param name="device">The device.</param>
    public void Add(VfioDeviceConfig config, int number, AssignedDevice function, IVfioDevice device) =>
        _devices.Add(new SlotDevice(config, number, function, Watch(device, VfioInterrupt.Request), Watch(device, VfioInterrupt.Error)));

    public void Dispose()
    {
        foreach (var device in _devices)
        {
            device.Function.Dispose();
            device.Requested?.Dispose();
            device.Failed?.Dispose();
        }
    }

    /// <summary>Both are news that a VM can do without: what cannot be had is left.</summary>
    private static EventFd? Watch(IVfioDevice device, VfioInterrupt kind)
    {
        if (device.InterruptCount(kind) == 0)
            return null;
        EventFd? trigger = null;
        try
        {
            trigger = new EventFd();
            if (device.TrySetTriggers(kind, 0, [trigger]) == 0)
                return trigger;
        }
        catch (LinuxException)
        {
            // No descriptor left.
        }
        trigger?.Dispose();
        return null;
    }
}
