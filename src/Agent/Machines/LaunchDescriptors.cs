using Exitless.Linux;
using Exitless.Vmm.Control;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Agent.Machines;

/// <summary>What needs privilege is opened here and passed on with the launch; the VM's process opens nothing.</summary>
internal static class LaunchDescriptors
{
    /// <summary>Opens everything that a plan names, or nothing.</summary>
    /// <exception cref="ProblemException">device-in-use: another program holds a group open; see <see cref="PlannedTap.Open"/> and <see cref="PlannedVsock.Open"/>.</exception>
    /// <exception cref="LinuxException">A file or a device cannot be opened.</exception>
    public static VmmDescriptors Open(LaunchPlan plan, HostRoot root)
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
            var groups = plan.Devices.Select(d => d.Group).Distinct().ToArray();
            return new VmmDescriptors
            {
                Kvm = Add(root.Dev("kvm"), OpenMode.ReadWrite),
                // Empty: it is read out of a disk.
                Kernel = plan.KernelPath.Length > 0 ? Add(plan.KernelPath, OpenMode.Read) : null,
                Initrd = plan.InitrdPath is { } initrd ? Add(initrd, OpenMode.Read) : null,
                VfioContainer = groups.Length > 0 ? Add(root.Dev("vfio/vfio"), OpenMode.ReadWrite) : null,
                Groups = [.. groups.Select(g => OpenGroup(root, g, Add))],
                Disks = [.. plan.Disks.SelectMany(d => d.Backing.Select(b => Add(b, OpenMode.Read)).Prepend(Add(d.Path, d.IsReadOnly ? OpenMode.Read : OpenMode.ReadWrite)))],
                Taps = [.. plan.Taps.Select(t => Keep(t.Open(root)))],
                Vsock = plan.Vsock is { } vsock ? Keep(vsock.Open()) : null,
            };
        }
        catch
        {
            foreach (var handle in opened)
                handle.Dispose();
            throw;
        }
    }

    private static SafeFileHandle OpenGroup(HostRoot root, int group, Func<string, OpenMode, SafeFileHandle> open)
    {
        try
        {
            return open(root.Dev($"vfio/{group}"), OpenMode.ReadWrite);
        }
        catch (LinuxException e) when (e.Errno == Errno.Busy)
        {
            throw new ProblemException(
                "device-in-use", "The IOMMU group is in use", $"Another program holds /dev/vfio/{group} open.", "End that program (look with: fuser /dev/vfio/*), or choose another device.", "devices", e);
        }
    }
}
