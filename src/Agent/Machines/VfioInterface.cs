using Exitless.Linux;
using Exitless.Linux.Sysfs;

namespace Exitless.Agent.Machines;

/// <summary>By which of the kernel's two interfaces devices are assigned.</summary>
internal enum VfioInterface
{
    /// <summary>iommufd where the kernel has it and each device its own file, else groups.</summary>
    Auto,
    /// <summary>/dev/vfio/vfio and a file of each IOMMU group.</summary>
    Groups,
    /// <summary>/dev/iommu and a file of each device (Linux 6.6 and later, CONFIG_VFIO_DEVICE_CDEV).</summary>
    Iommufd,
}

/// <summary>The files of devices that vfio-pci has, and the choice between them and their groups'.</summary>
internal static class VfioFiles
{
    /// <summary>/dev/iommu.</summary>
    public static string Iommufd(HostRoot root) => root.Dev("iommu");

    /// <summary>A device's own file; null where it has none.</summary>
    public static string? Cdev(HostRoot root, string address)
    {
        var names = SysfsFile.Names(PciFunction.Folder(root, address) + "/vfio-dev");
        return names.Count == 0 ? null : root.Dev("vfio/devices/" + names[0]) is var path && File.Exists(path) ? path : null;
    }

    /// <summary>Decides by which interface devices are assigned. They must be bound to vfio-pci: before that they have no file.</summary>
    /// <param name="root">The host.</param>
    /// <param name="addresses">The devices.</param>
    /// <param name="wanted">What somebody wants.</param>
    /// <returns>True: by iommufd.</returns>
    /// <exception cref="ProblemException">no-iommufd.</exception>
    public static bool ByIommufd(HostRoot root, IEnumerable<string> addresses, VfioInterface wanted)
    {
        if (wanted == VfioInterface.Groups)
            return false;
        var missing = !File.Exists(Iommufd(root)) ? "/dev/iommu does not exist"
            : addresses.FirstOrDefault(a => Cdev(root, a) is null) is { } without ? $"{without} has no file in /dev/vfio/devices"
            : null;
        if (missing is not null && wanted == VfioInterface.Iommufd)
        {
            throw new ProblemException("no-iommufd", "Devices cannot be assigned by iommufd here", $"{missing}.",
                "Load the module iommufd on a kernel of 6.6 or later with CONFIG_VFIO_DEVICE_CDEV, or leave --vfio at auto.", "devices");
        }
        return missing is null;
    }
}
