using System.ComponentModel;
using Exitless.Agent.Events;
using Exitless.Agent.Inventory;
using Exitless.Agent.Machines;
using Exitless.Contracts;
using Exitless.Linux;
using Exitless.Linux.Sysfs;

namespace Exitless.Agent.Sriov;

/// <summary>Gives a PF its wanted number of VFs (Documentation/PCI/pci-iov-howto.rst). Everything that can be refused is refused before anything is written.</summary>
internal sealed class VfProvisioner(HostRoot root, IRtnetlink netlink, DeviceClaims claims, DeviceUseReader uses, EventLog events, TimeProvider time)
{
    /// <exception cref="ProblemException">Refused or failed.</exception>
    public async Task ConvergeAsync(string address, int wanted, Action<IReadOnlyList<Step>> report)
    {
        var pf = Check(address, wanted);
        if (pf.NumVfs == wanted)
            return;
        var steps = new StepList(time, report);
        var folder = PciFunction.Folder(root, address);
        await steps.RunAsync("Keep the host's drivers off the VFs", () =>
        {
            // Otherwise the host's VF driver takes each new VF, and with it a name, an address and perhaps a DHCP lease.
            SysfsFile.Write(folder + "/sriov_drivers_autoprobe", "0");
            return "sriov_drivers_autoprobe is 0";
        });
        foreach (var name in pf.NetInterfaces)
        {
            await steps.RunAsync($"Bring up {name}", () => BringUp(name));
        }
        if (pf.NumVfs > 0)
        {
            await steps.RunAsync($"Remove {pf.NumVfs} VFs", () =>
            {
                Write(folder, address, 0);   // the kernel takes a new number only from 0
                return "";
            });
        }
        if (wanted > 0)
        {
            await steps.RunAsync($"Create {wanted} VFs", () =>
            {
                try
                {
                    Write(folder, address, wanted);
                }
                catch (ProblemException) when (pf.NumVfs > 0)
                {
                    SysfsFile.Write(folder + "/sriov_numvfs", pf.NumVfs.ToString());
                    throw;
                }
                var vfs = PciFunction.VfsOf(root, address);
                return vfs.Count == wanted
                    ? string.Join(", ", vfs)
                    : throw Failed(address, wanted, $"the kernel took the number, but {vfs.Count} VFs appeared", null);
            });
        }
        events.Info("vfs-changed", $"{address} has {wanted} VFs now, {pf.NumVfs} before.", device: address);
    }

    private PciFunction Check(string address, int wanted)
    {
        var pf = PciFunction.Read(root, address) ?? throw new ProblemException(
            "device-not-found", "No such device", $"This host has no PCI function {address}.", "Choose a PF that the host's page lists.", "address");
        if (pf.PfAddress is not null)
            throw new ProblemException("pf-without-sriov", "A VF has no VFs", $"{address} is itself a VF of {pf.PfAddress}.", $"Create the VFs on {pf.PfAddress}.", "address");
        if (pf.TotalVfs == 0 && wanted > 0)
            throw new ProblemException(
                "pf-without-sriov", "The device has no SR-IOV", $"{address} has no SR-IOV capability, or its driver ({pf.Driver ?? "none"}) does not show it.",
                "Choose a device with SR-IOV; if it has it, turn SR-IOV on in the firmware's set-up and in the card's own.", "address");
        if (wanted > pf.TotalVfs)
            throw new ProblemException(
                "too-many-vfs", "More VFs than the device has", $"{address} has at most {pf.TotalVfs} VFs; {wanted} are wanted.", $"Ask for {pf.TotalVfs} or fewer.", "numVfs");
        if (pf.NumVfs != wanted)
            CheckVfsAreFree(pf);
        if (pf.NumVfs != wanted && pf.Driver is null)
            throw new ProblemException(
                "pf-without-driver", "The PF has no driver", $"No driver is bound to {address}; the PF's driver makes the VFs.", "Load the PF's driver, then try again.", "address");
        return pf;
    }

    // A new number removes all VFs that exist, also those that stay below it.
    private void CheckVfsAreFree(PciFunction pf)
    {
        var vfs = PciFunction.VfsOf(root, pf.Address);
        if (vfs.Count == 0)
            return;
        foreach (var vf in vfs)
        {
            if (claims.OwnerOf(vf) is { } owner)
                throw new ProblemException(
                    "vf-in-use", "A VF is in use", $"{vf} belongs to the VM {owner}; changing the number of VFs of {pf.Address} would take it away.",
                    $"Stop {owner} first.", "numVfs");
        }
        var inUse = uses.Read(PciFunction.ReadAll(root));
        foreach (var vf in vfs)
        {
            if (inUse.TryGetValue(vf, out var reason))
                throw new ProblemException(
                    "vf-in-use", "A VF is in use", $"{vf} {reason}; changing the number of VFs of {pf.Address} would take it away.",
                    "Free that VF first, or leave the number as it is.", "numVfs");
        }
    }

    private string BringUp(string name)
    {
        // igb and others make VFs of a PF that is down, but those never pass traffic.
        if (NetInterface.Read(root, name) is not { } network)
            return "the interface is gone";
        try
        {
            netlink.SetUp(network.Index);
            return "";
        }
        catch (Win32Exception e)
        {
            throw new ProblemException("link-up-failed", "The PF's interface cannot be brought up", $"{name}: {e.Message}.", $"Run `ip link set {name} up` on the host and look into its kernel log.", "address", e);
        }
    }

    private static void Write(string folder, string address, int number)
    {
        try
        {
            SysfsFile.Write(folder + "/sriov_numvfs", number.ToString());
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Failed(address, number, e.Message, e);
        }
    }

    private static ProblemException Failed(string address, int number, string reason, Exception? cause) => new(
        "vf-creation-failed", "The VFs could not be created", $"{address}, {number} VFs: {reason}.",
        "The host's kernel log says why. Often the firmware gave the PF too little address space: turn on SR-IOV and \"above 4G decoding\" in its set-up, or boot with pci=realloc.",
        "numVfs", cause);
}
