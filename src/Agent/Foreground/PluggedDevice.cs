using Exitless.Agent.Machines;
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
    /// <param name="vfio">How; a VM that has devices already gets this one as it got those.</param>
    /// <param name="cancel">Stops waiting.</param>
    /// <exception cref="ProblemException">It cannot be; nothing has changed.</exception>
    public async Task<VmmResources> AttachAsync(VfioInterface vfio, CancellationToken cancel)
    {
        var group = GroupOf(PciFunction.Read(root, address));
        await using var client = await VmmClient.ConnectAsync(socket, cancel);
        var device = new VfioDeviceConfig(address, group);
        if (await ByIommufdAsync(client, vfio, cancel))
            await AttachByIommufdAsync(client, device, cancel);
        else
            await AttachByGroupAsync(client, device, cancel);
        return await client.TakeResourcesAsync(cancel);
    }

    private async Task<bool> ByIommufdAsync(VmmClient client, VfioInterface vfio, CancellationToken cancel)
    {
        if (client.Hello.Protocol < VmmClient.IommufdProtocol)
            return false;
        var has = vfio == VfioInterface.Auto ? (await client.TakeResourcesAsync(cancel)).Iommufd : null;
        return has ?? VfioFiles.ByIommufd(root, [address], vfio);
    }

    private async Task AttachByIommufdAsync(VmmClient client, VfioDeviceConfig device, CancellationToken cancel)
    {
        var path = VfioFiles.Cdev(root, address) ?? throw new ProblemException(
            "no-iommufd", "The device cannot be assigned by iommufd", $"{address} has no file in /dev/vfio/devices, and the VM has its devices by iommufd.", "Bind it to vfio-pci on a kernel with CONFIG_VFIO_DEVICE_CDEV.", "address");
        // The VM closes the one that it does not need.
        using var descriptors = new DeviceDescriptors
        {
            Iommufd = Files.Open(VfioFiles.Iommufd(root), OpenMode.ReadWrite),
            Cdevs = new Dictionary<string, SafeFileHandle>(StringComparer.Ordinal) { [address] = OpenUnlessBusy(path) ?? throw InUse(path) },
        };
        await client.AttachDevicesAsync([device], descriptors, cancel);
    }

    private async Task AttachByGroupAsync(VmmClient client, VfioDeviceConfig device, CancellationToken cancel)
    {
        var path = root.Dev($"vfio/{device.IommuGroup}");
        using var container = Files.Open(root.Dev("vfio/vfio"), OpenMode.ReadWrite);
        // A group can be opened once; the VM may have it already.
        using var file = OpenUnlessBusy(path);
        try
        {
            var descriptors = new DeviceDescriptors { Container = container, Groups = file is null ? new Dictionary<int, SafeFileHandle>() : new() { [device.IommuGroup] = file } };
            await client.AttachDevicesAsync([device], descriptors, cancel);
        }
        catch (VmmProblemException e) when (file is null && e.Code == "vmm-protocol")
        {
            // The VM does not have the group that is busy.
            throw InUse(path, e);
        }
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

    private static ProblemException InUse(string path, Exception? cause = null) => new(
        "device-in-use", "The device is in use", $"Another program holds {path} open.", "End that program (look with: fuser /dev/vfio/* /dev/vfio/devices/*), or choose another device.", "address", cause);

    private static SafeFileHandle? OpenUnlessBusy(string path)
    {
        try
        {
            return Files.Open(path, OpenMode.ReadWrite);
        }
        catch (LinuxException e) when (e.Errno == Errno.Busy)
        {
            return null;
        }
    }
}
