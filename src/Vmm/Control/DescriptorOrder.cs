using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Control;

/// <summary>
/// The order in which a launch's descriptors travel: what every VM has, then what the configuration says that it has besides. New kinds go to
/// the end, so that neighbouring versions agree about the others.
/// </summary>
internal static class DescriptorOrder
{
    /// <summary>All descriptors, in order.</summary>
    public static List<SafeFileHandle> Of(VmmDescriptors descriptors)
    {
        List<SafeFileHandle> all = [descriptors.Kvm];
        foreach (var one in (SafeFileHandle?[])[descriptors.Kernel, descriptors.Initrd, descriptors.VfioContainer])
        {
            if (one is not null)
                all.Add(one);
        }
        all.AddRange(descriptors.Groups);
        all.AddRange(descriptors.Disks);
        all.AddRange(descriptors.Taps);
        if (descriptors.Vsock is { } vsock)
            all.Add(vsock);
        if (descriptors.Iommufd is { } iommufd)
            all.AddRange([iommufd, .. descriptors.Cdevs]);
        return all;
    }

    /// <summary>Tells by the configuration what each descriptor is.</summary>
    /// <exception cref="VmmProblemException">vmm-protocol: more or fewer came.</exception>
    public static VmmDescriptors Sort(VmConfig config, IReadOnlyList<SafeFileHandle> all)
    {
        var iommufd = config is { Iommufd: true, Devices.Count: > 0 };
        var cdevs = iommufd ? config.Devices.Count : 0;
        var groups = iommufd ? 0 : config.Devices.Select(d => d.IommuGroup).Distinct().Count();
        var disks = config.Disks.Sum(d => 1 + d.BackingFormats.Count);
        var hasKernel = config.BootDisk.Length == 0;
        var expected = 1 + (hasKernel ? 1 : 0) + (config.HasInitrd ? 1 : 0) + (groups > 0 ? 1 : 0) + groups + disks + config.Networks.Count + (config.Vsock is null ? 0 : 1) + (iommufd ? 1 : 0) + cdevs;
        if (all.Count != expected)
            throw new VmmProblemException("vmm-protocol", "The launch has the wrong descriptors.", $"{all.Count} came; {expected} were expected.", "Update the agent.");
        var next = 0;
        return new VmmDescriptors
        {
            Kvm = all[next++],
            Kernel = hasKernel ? all[next++] : null,
            Initrd = config.HasInitrd ? all[next++] : null,
            VfioContainer = groups > 0 ? all[next++] : null,
            Groups = Take(groups),
            Disks = Take(disks),
            Taps = Take(config.Networks.Count),
            Vsock = config.Vsock is null ? null : all[next++],
            Iommufd = iommufd ? all[next++] : null,
            Cdevs = Take(cdevs),
        };

        SafeFileHandle[] Take(int count)
        {
            SafeFileHandle[] some = [.. all.Skip(next).Take(count)];
            next += count;
            return some;
        }
    }
}
