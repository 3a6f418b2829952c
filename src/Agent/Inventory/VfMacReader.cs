using System.ComponentModel;
using System.Net.NetworkInformation;
using Exitless.Agent.Sriov;
using Exitless.Linux;
using Exitless.Linux.Sysfs;

namespace Exitless.Agent.Inventory;

/// <summary>The MACs of VFs as their PFs have them: what the NIC filters by, also while the VF has no driver or belongs to a guest.</summary>
internal sealed class VfMacReader(HostRoot root, IRtnetlink netlink)
{
    /// <summary>MACs by the VF's address; all zeros: given none. A VF whose PF does not say is missing.</summary>
    public IReadOnlyDictionary<string, PhysicalAddress> Read(IReadOnlyList<PciFunction> functions)
    {
        var macs = new Dictionary<string, PhysicalAddress>(StringComparer.Ordinal);
        foreach (var pf in functions)
        {
            if (pf.NumVfs == 0 || pf.NetInterfaces.Count == 0)
                continue;
            var byIndex = OfPf(pf);
            foreach (var vf in functions)
            {
                if (string.Equals(vf.PfAddress, pf.Address, StringComparison.Ordinal) && vf.VfIndex is { } index && byIndex.TryGetValue(index, out var mac))
                    macs[vf.Address] = mac;
            }
        }
        return macs;
    }

    private IReadOnlyDictionary<int, PhysicalAddress> OfPf(PciFunction pf)
    {
        if (NetInterface.Read(root, pf.NetInterfaces[0]) is not { } network)
            return new Dictionary<int, PhysicalAddress>();
        try
        {
            return netlink.VfMacs(network.Index);
        }
        catch (Win32Exception)
        {
            return new Dictionary<int, PhysicalAddress>();   // the interface went away between the two reads
        }
    }
}
