namespace Exitless.Vmm.Control;

/// <summary>What has become of an assigned device.</summary>
public enum DeviceChange
{
    /// <summary>It is on the guest's bus, and the guest has been told.</summary>
    Attached,
    /// <summary>The guest has been asked to give it back.</summary>
    EjectAsked,
    /// <summary>The guest gave it back, and it is released.</summary>
    Ejected,
    /// <summary>The guest did not give it back in time; it was taken away, and is released.</summary>
    Forced,
    /// <summary>The host wants it back (VFIO's request eventfd): its driver is being unbound, or its PF takes its VFs away.</summary>
    HostWantsIt,
    /// <summary>PCI Express reported an error that it does not recover from (VFIO's error eventfd).</summary>
    Error,
    /// <summary>Interrupts of it do not work.</summary>
    InterruptRefused,
}

/// <summary>Something happened to an assigned device.</summary>
/// <param name="Number">Counts the events of a VM from 1. A reader that comes anew gets the latest ones again.</param>
/// <param name="Address">The device's address on the host.</param>
/// <param name="Change">What.</param>
/// <param name="Text">More, in words.</param>
/// <param name="At">When, Unix milliseconds.</param>
public sealed record VmmDeviceEvent(long Number, string Address, DeviceChange Change, string Text, long At) : VmmEvent;
