using Exitless.Linux;

namespace Exitless.Vmm.Vfio;

/// <summary>What ran out, or said no, when a vector could not be opened.</summary>
internal enum VectorLimit
{
    /// <summary>The host's interrupt vectors or remapping entries.</summary>
    Host,
    /// <summary>KVM's routing table.</summary>
    GuestRoutes,
    /// <summary>A message that KVM does not take.</summary>
    Message,
    /// <summary>KVM's irqfds.</summary>
    Irqfd,
    /// <summary>Descriptors of this process.</summary>
    OpenFiles,
}

/// <summary>The vectors of a device that the guest opened and that do not work, counted, and why in words.</summary>
internal sealed class VectorRefusals(int count)
{
    // AMD's interrupt remapping tables had 512 entries a device before Linux 6.15 (drivers/iommu/amd, MAX_IRQS_PER_TABLE).
    private const int AmdRemappingEntries = 512;
    private readonly bool[] _refused = new bool[count];

    /// <summary>How many vectors the guest has opened in vain.</summary>
    public int Count { get; private set; }

    /// <summary>Why, as of the last one; empty if none ever was.</summary>
    public string Reason { get; private set; } = "";

    /// <summary>Takes a refusal down.</summary>
    /// <returns>True if it is the first of this device: the guest can make it happen again as often as it likes.</returns>
    public bool Add(int vector, VectorLimit limit, int error, int available, int inUse)
    {
        if (!_refused[vector])
            Count++;
        _refused[vector] = true;
        if (Reason.Length > 0)
            return false;
        Reason = limit switch
        {
            VectorLimit.Host when available > 0 => $"the host has {available} interrupt vectors for it instead of those asked for; {inUse} of its vectors are in use",
            VectorLimit.Host when error == Errno.NoSpace && inUse == AmdRemappingEntries => $"the host's IOMMU remaps {AmdRemappingEntries} interrupts of a device (AMD before Linux 6.15), and all are in use",
            VectorLimit.Host when error == Errno.NoSpace => $"the host has no interrupt vector or remapping entry left ({new LinuxException("VFIO_DEVICE_SET_IRQS", error).Message}); {inUse} of its vectors are in use",
            VectorLimit.Host => $"{new LinuxException("VFIO_DEVICE_SET_IRQS", error).Message}; {inUse} of its vectors are in use",
            VectorLimit.GuestRoutes => $"KVM takes {Interrupts.GsiRoutes.Most:#,0} interrupt routes for a VM (KVM_MAX_IRQ_ROUTES), and all are taken; {inUse} of its vectors are in use",
            VectorLimit.OpenFiles => $"this process has no descriptor left (RLIMIT_NOFILE is {ResourceLimit.Get(LimitedResource.OpenFiles).Soft:#,0}); {inUse} of its vectors are in use",
            VectorLimit.Message => $"KVM_SET_GSI_ROUTING refuses its message: {new LinuxException("KVM_SET_GSI_ROUTING", error).Message}",
            VectorLimit.Irqfd => new LinuxException("KVM_IRQFD", error).Message,
        };
        return true;
    }

    /// <summary>The vector works, or is not wanted any more.</summary>
    public void Remove(int vector)
    {
        if (_refused[vector])
            Count--;
        _refused[vector] = false;
    }

    public void Clear()
    {
        Array.Clear(_refused);
        Count = 0;
    }
}
