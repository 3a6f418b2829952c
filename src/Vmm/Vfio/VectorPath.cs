using Exitless.Linux;
using Exitless.Vmm.Interrupts;

namespace Exitless.Vmm.Vfio;

/// <summary>
/// The way of one message-signalled interrupt into the guest: an eventfd that VFIO fires, and a GSI of its own that KVM injects when it does. Both ends
/// name the very same eventfd, so that the kernel pairs them.
/// </summary>
internal sealed class VectorPath(IIrqfds kvm, EventFd trigger, int gsi) : IDisposable
{
    public EventFd Trigger => trigger;

    public int Gsi => gsi;

    /// <summary>True while what fires reaches the guest; otherwise it stays in the eventfd's counter.</summary>
    public bool IsAssigned { get; private set; }

    /// <summary>True if something fired that has not reached the guest.</summary>
    public bool IsPending => !IsAssigned && trigger.IsSignalled;

    /// <summary>Makes the eventfd and takes a GSI.</summary>
    /// <returns>Null if one of them could not be had; <paramref name="limit"/> says which.</returns>
    public static VectorPath? TryMake(IIrqfds kvm, GsiRoutes routes, out VectorLimit limit)
    {
        limit = VectorLimit.GuestRoutes;
        var gsi = routes.Allocate();
        if (gsi < 0)
            return null;
        try
        {
            return new VectorPath(kvm, new EventFd(), gsi);
        }
        catch (LinuxException)
        {
            limit = VectorLimit.OpenFiles;
            routes.Free([gsi]);
            return null;
        }
    }

    /// <summary>The GSI must have its route: KVM binds an irqfd to the route that it finds.</summary>
    public bool TryAssign() => IsAssigned || (IsAssigned = kvm.TryAssignIrqfd(trigger, gsi));

    public void Deassign()
    {
        if (IsAssigned)
            kvm.TryDeassignIrqfd(trigger, gsi);
        IsAssigned = false;
    }

    /// <summary>Gives up all of a device's paths, and their GSIs at once.</summary>
    public static void Release(VectorPath?[] paths, GsiRoutes routes)
    {
        var gsis = new List<int>();
        for (var i = 0; i < paths.Length; i++)
        {
            if (paths[i] is not { } path)
                continue;
            path.Dispose();
            gsis.Add(path.Gsi);
            paths[i] = null;
        }
        routes.Free([.. gsis]);
    }

    /// <summary>The irqfd and the eventfd; the GSI is freed by whoever has the routes, many at once.</summary>
    public void Dispose()
    {
        Deassign();
        trigger.Dispose();
    }
}
