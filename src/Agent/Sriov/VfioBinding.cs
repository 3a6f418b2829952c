using Exitless.Linux;
using Exitless.Linux.Sysfs;

namespace Exitless.Agent.Sriov;

/// <summary>Takes a function from its driver for vfio-pci and gives it back (Documentation/driver-api/vfio.rst, sysfs-bus-pci driver_override).</summary>
internal sealed class VfioBinding(HostRoot root)
{
    public const string Driver = "vfio-pci";

    /// <summary>Binds a function to vfio-pci.</summary>
    /// <exception cref="ProblemException">The kernel refused; the function is as it was.</exception>
    public void Bind(string address, string? previousDriver, string field)
    {
        var folder = PciFunction.Folder(root, address);
        if (string.Equals(previousDriver, Driver, StringComparison.Ordinal))
            return;
        try
        {
            // First the override: from now on no other driver can come in between.
            SysfsFile.Write(folder + "/driver_override", Driver);
            if (previousDriver is not null)
                SysfsFile.Write(folder + "/driver/unbind", address);
            SysfsFile.Write(root.Sys("bus/pci/drivers_probe"), address);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Undo(address, previousDriver);
            throw Failed(address, e.Message, field, e);
        }
        var driver = SysfsFile.LinkName(folder + "/driver");
        if (string.Equals(driver, Driver, StringComparison.Ordinal))
            return;
        Undo(address, previousDriver);
        throw Failed(address, driver is null ? "vfio-pci did not take it" : $"{driver} took it instead", field, null);
    }

    /// <summary>Gives a function back to the driver it had. A function that has gone needs nothing.</summary>
    /// <exception cref="IOException">The kernel refused.</exception>
    public void Release(BoundDevice device)
    {
        if (PciFunction.Read(root, device.Address) is not { } function || string.Equals(device.PreviousDriver, Driver, StringComparison.Ordinal))
            return;
        var folder = PciFunction.Folder(root, device.Address);
        if (string.Equals(function.Driver, Driver, StringComparison.Ordinal))
            SysfsFile.Write(folder + "/driver/unbind", device.Address);
        if (device.PreviousDriver is { } previous && SysfsFile.LinkName(folder + "/driver") is null)
        {
            // With autoprobe off the kernel binds a VF only to a driver that the override names.
            SysfsFile.Write(folder + "/driver_override", previous);
            SysfsFile.Write(root.Sys("bus/pci/drivers_probe"), device.Address);
        }
        SysfsFile.Write(folder + "/driver_override", "\n");   // an empty line clears it
    }

    private void Undo(string address, string? previousDriver)
    {
        try
        {
            Release(new BoundDevice(address, previousDriver, null, null, 0));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The problem that led here says more than its aftermath.
        }
    }

    private static ProblemException Failed(string address, string reason, string field, Exception? cause) => new(
        "bind-failed", "The device could not be bound to vfio-pci", $"{address}: {reason}.", "The host's kernel log says why.", field, cause);
}
