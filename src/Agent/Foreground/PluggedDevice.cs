using Exitless.Agent.Sriov;
using Exitless.Linux;
using Exitless.Linux.Sysfs;
using Exitless.Vmm.Control;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Agent.Foreground;

/// <summary>Plugs one device into a running VM and out again, over the VM's control socket. The device is vfio-pci's before and after.</summary>
internal sealed class PluggedDevice(string address, string socket, HostRoot root)
{
    /// <summary>Plugs it in; on return the guest has been told.</summary>
    /// <exception cref="ProblemException">It cannot be; nothing has changed.</exception>
    public async Task<VmmResources> AttachAsync(CancellationToken cancel)
    {
        var group = GroupOf(PciFunction.Read(root, address));
        await using var client = await VmmClient.ConnectAsync(socket, cancel);
        using var container = Files.Open(root.Dev("vfio/vfio"), OpenMode.ReadWrite);
        using var file = OpenUnlessBusy(group);
        try
        {
            var descriptors = new DeviceDescriptors { Container = container, Groups = file is null ? new Dictionary<int, SafeFileHandle>() : new() { [group] = file } };
            await client.AttachDevicesAsync([new VfioDeviceConfig(address, group)], descriptors, cancel);
        }
        catch (VmmProblemException e) when (file is null && e.Code == "vmm-protocol")
        {
            // The VM does not have the group that is busy.
            throw new ProblemException(
                "device-in-use", "The IOMMU group is in use", $"Another program holds /dev/vfio/{group} open.", "End that program (look with: fuser /dev/vfio/*), or choose another device.", "address", e);
        }
        return await client.TakeResourcesAsync(cancel);
    }

    /// <summary>Asks the guest to give it back; on return the host can have it.</summary>
    /// <param name="limit">After this it is taken away.</param>
    /// <param name="cancel">Stops waiting.</param>
    public async Task<VmmResources> DetachAsync(TimeSpan limit, CancellationToken cancel)
    {
        await using var client = await VmmClient.ConnectAsync(socket, cancel);
        await client.DetachDeviceAsync(address, limit, cancel);
        return await client.TakeResourcesAsync(cancel);
    }

    private int GroupOf(PciFunction? function)
    {
        if (function is null)
            throw new ProblemException("device-not-found", "No such device", $"This host has no PCI function '{address}'.", "Give its address in full, such as 0000:01:10.0; exitless-agent inventory lists them.", "address");
        if (!string.Equals(function.Driver, VfioBinding.Driver, StringComparison.Ordinal))
        {
            throw new ProblemException(
                "device-not-bound", "The device is not bound to vfio-pci", $"{address} has {function.Driver ?? "no driver"}.",
                $"Bind it: echo vfio-pci >/sys/bus/pci/devices/{address}/driver_override, unbind what it has, echo {address} >/sys/bus/pci/drivers_probe.", "address");
        }
        return function.IommuGroup ?? throw new ProblemException("device-without-iommu-group", "No IOMMU translates for the device", $"{address} is in no IOMMU group.", "Choose a device with an IOMMU group.", "address");
    }

    // A group can be opened once; the VM may have it already.
    private SafeFileHandle? OpenUnlessBusy(int group)
    {
        try
        {
            return Files.Open(root.Dev($"vfio/{group}"), OpenMode.ReadWrite);
        }
        catch (LinuxException e) when (e.Errno == Errno.Busy)
        {
            return null;
        }
    }
}
