using System.ComponentModel;
using System.Net.NetworkInformation;
using Exitless.Agent.Inventory;
using Exitless.Linux;
using Exitless.Linux.Sysfs;

namespace Exitless.Agent.Sriov;

/// <summary>Sets a VF's MAC through its PF: the NIC then filters by it, and the guest cannot take another.</summary>
internal sealed class VfMac(HostRoot root, IRtnetlink netlink)
{
    /// <summary>Sets the MAC and reads it back.</summary>
    /// <exception cref="ProblemException">The PF's driver refused.</exception>
    public void Set(string vf, string pf, int index, PhysicalAddress mac, string field)
    {
        try
        {
            var network = PfInterface(pf) ?? throw new ProblemException(
                "pf-without-interface", "The PF has no network interface", $"{pf}, the PF of {vf}, has no network interface, so the VF's MAC cannot be set.",
                "Bind the PF to its network driver, or leave the MAC empty.", field);
            netlink.SetVfMac(network.Index, index, mac);
            var now = netlink.VfMacs(network.Index).GetValueOrDefault(index);
            if (!mac.Equals(now))
                throw Refused(vf, network.Name, mac, now is null ? "the driver shows no MAC" : $"the driver took it, but shows {MacText.Of(now)}", field, null);
        }
        catch (Win32Exception e)
        {
            throw Refused(vf, pf, mac, e.Message, field, e);
        }
    }

    /// <summary>Gives a VF back the MAC it had, be it none (all zeros), if it can; a VF that has gone has none.</summary>
    public void Restore(BoundDevice device)
    {
        if (device is not { PreviousMac: { } text, PfAddress: { } pf } || !PhysicalAddress.TryParse(text.Replace(':', '-'), out var mac) || PfInterface(pf) is not { } network)
            return;
        try
        {
            netlink.SetVfMac(network.Index, device.VfIndex, mac);
        }
        catch (Win32Exception)
        {
            // The VF went away with its PF's number of VFs; nothing has the MAC any more.
        }
    }

    public NetInterface? PfInterface(string pf) =>
        PciFunction.Read(root, pf)?.NetInterfaces is [var name, ..] ? NetInterface.Read(root, name) : null;

    private static ProblemException Refused(string vf, string pf, PhysicalAddress mac, string reason, string field, Exception? cause) => new(
        "mac-refused", "The VF's MAC could not be set", $"{vf}: {pf} refused {MacText.Of(mac)}: {reason}.",
        "Choose a unicast MAC that no other VF has, or leave it empty to keep the VF's own; the host's kernel log says more.", field, cause);
}
