using Exitless.Agent.Events;
using Exitless.Agent.Sriov;

namespace Exitless.Agent.Machines;

/// <summary>Takes a VM's functions from the host and gives them back.</summary>
internal sealed class DevicePreparer(VfMac macs, VfioBinding binding, EventLog events, Action changed)
{
    /// <summary>What will have to be given back, known before anything is touched.</summary>
    public static IReadOnlyList<BoundDevice> Record(LaunchPlan plan) =>
    [
        .. plan.Devices.Select(d => new BoundDevice(
            d.Function.Address, d.Function.Driver, d.Mac is null || d.CurrentMac is null ? null : Inventory.MacText.Of(d.CurrentMac), d.Mac is null ? null : d.Function.PfAddress, d.Function.VfIndex ?? 0)),
    ];

    public string SetMac(PlannedDevice device, string vmId)
    {
        var mac = device.Mac!;
        macs.Set(device.Function.Address, device.Function.PfAddress!, device.Function.VfIndex!.Value, mac, device.Field + ".mac");
        changed();
        events.Info("mac-set", $"{device.Function.Address} has the MAC {Inventory.MacText.Of(mac)}.", vmId, device.Function.Address);
        return Inventory.MacText.Of(mac);
    }

    public string Bind(PlannedDevice device, string vmId)
    {
        binding.Bind(device.Function.Address, device.Function.Driver, device.Field + ".address");
        changed();
        events.Info("device-bound", $"{device.Function.Address} is bound to vfio-pci{(device.Function.Driver is { } before ? $", before to {before}" : "")}.", vmId, device.Function.Address);
        return device.Function.Driver is { } old ? $"from {old}" : "had no driver";
    }

    /// <summary>Gives all back. A device that cannot be given back does not hold up the others; it is told as an event.</summary>
    public void Release(IReadOnlyList<BoundDevice> devices, string vmId)
    {
        foreach (var device in devices)
        {
            try
            {
                binding.Release(device);
                macs.Restore(device);
                events.Info("device-released", $"{device.Address} is back with {device.PreviousDriver ?? "no driver"}.", vmId, device.Address);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                events.Error("device-not-released", $"{device.Address} could not be given back to the host: {e.Message}", vmId, device.Address);
            }
        }
        if (devices.Count > 0)
            changed();
    }
}
