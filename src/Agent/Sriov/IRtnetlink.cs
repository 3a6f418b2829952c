using System.Net;
using System.Net.NetworkInformation;
using Exitless.Linux.Netlink;

namespace Exitless.Agent.Sriov;

/// <summary>The kernel's routing socket. The one thing of a host that no recorded tree holds.</summary>
internal interface IRtnetlink
{
    IReadOnlyDictionary<int, PhysicalAddress> VfMacs(int pfInterface);

    void SetVfMac(int pfInterface, int vf, PhysicalAddress mac);

    void SetUp(int index);

    int? InterfaceTo(IPAddress destination);
}

/// <summary>This machine's; see <see cref="RouteNetlink"/>.</summary>
internal sealed class KernelRtnetlink : IRtnetlink
{
    public IReadOnlyDictionary<int, PhysicalAddress> VfMacs(int pfInterface) => RouteNetlink.VfMacs(pfInterface);

    public void SetVfMac(int pfInterface, int vf, PhysicalAddress mac) => RouteNetlink.SetVfMac(pfInterface, vf, mac);

    public void SetUp(int index) => RouteNetlink.SetUp(index);

    public int? InterfaceTo(IPAddress destination) => RouteNetlink.InterfaceTo(destination);
}
