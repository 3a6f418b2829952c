using Exitless.Linux;
using Exitless.Vmm.Control;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Agent.Machines;

/// <summary>What needs privilege is opened here and passed on with the launch; the VM's process opens nothing.</summary>
internal static class LaunchDescriptors
{
    /// <summary>Opens everything that a plan names, or nothing.</summary>
    /// <param name="plan">The VM.</param>
    /// <param name="root">The host.</param>
    /// <param name="vfio">How its devices are assigned.</param>
    /// <exception cref="ProblemException">device-in-use: another program holds a group or a device open; no-iommufd; see <see cref="PlannedTap.Open"/> and <see cref="PlannedVsock.Open"/>.</exception>
    /// <exception cref="LinuxException">A file or a device cannot be opened.</exception>
    public static VmmDescriptors Open(LaunchPlan plan, HostRoot root, VfioInterface vfio = VfioInterface.Auto)
    {
        var opened = new List<SafeFileHandle>();
        try
        {
            SafeFileHandle Keep(SafeFileHandle handle)
            {
                opened.Add(handle);
                return handle;
            }
            SafeFileHandle Add(string path, OpenMode mode) => Keep(Files.Open(path, mode));
            string[] addresses = [.. plan.Devices.Select(d => d.Function.Address)];
            var iommufd = addresses.Length > 0 && VfioFiles.ByIommufd(root, addresses, vfio);
            int[] groups = iommufd ? [] : [.. plan.Devices.Select(d => d.Group).Distinct()];
            return new VmmDescriptors
            {
                Kvm = Add(root.Dev("kvm"), OpenMode.ReadWrite),
                // Empty: it is read out of a disk.
                Kernel = plan.KernelPath.Length > 0 ? Add(plan.KernelPath, OpenMode.Read) : null,
                Initrd = plan.InitrdPath is { } initrd ? Add(initrd, OpenMode.Read) : null,
                VfioContainer = groups.Length > 0 ? Add(root.Dev("vfio/vfio"), OpenMode.ReadWrite) : null,
                Groups = [.. groups.Select(g => OpenUnlessBusy(root.Dev($"vfio/{g}"), "IOMMU group", Add))],
                Disks = [.. plan.Disks.SelectMany(d => d.Backing.Select(b => Add(b, OpenMode.Read)).Prepend(Add(d.Path, d.IsReadOnly ? OpenMode.Read : OpenMode.ReadWrite)))],
                Taps = [.. plan.Taps.Select(t => Keep(t.Open(root)))],
                Vsock = plan.Vsock is { } vsock ? Keep(vsock.Open()) : null,
                Iommufd = iommufd ? Add(VfioFiles.Iommufd(root), OpenMode.ReadWrite) : null,
                Cdevs = iommufd ? [.. addresses.Select(a => OpenUnlessBusy(VfioFiles.Cdev(root, a)!, "device", Add))] : [],
            };
        }
        catch
        {
            foreach (var handle in opened)
                handle.Dispose();
            throw;
        }
    }

    private static SafeFileHandle OpenUnlessBusy(string path, string what, Func<string, OpenMode, SafeFileHandle> open)
    {
        try
        {
            return open(path, OpenMode.ReadWrite);
        }
        catch (LinuxException e) when (e.Errno == Errno.Busy)
        {
            throw new ProblemException(
                "device-in-use", $"The {what} is in use", $"Another program holds {path} open.", "End that program (look with: fuser /dev/vfio/* /dev/vfio/devices/*), or choose another device.", "devices", e);
        }
    }
}
