using System.ComponentModel;
using System.Net;
using System.Net.NetworkInformation;
using Exitless.Linux.Netlink;

namespace Exitless.Linux.Tests.Netlink;

public sealed class RouteNetlinkTests
{
    private const int NoSuchInterface = 0x7ffffff0;

    [Fact]
    public void Loopback_leaves_by_lo() => Assert.Equal(1, RouteNetlink.InterfaceTo(IPAddress.Loopback));

    [Fact]
    public void An_interface_without_VFs_has_no_MACs() => Assert.Empty(RouteNetlink.VfMacs(1));

    [Fact]
    public void What_does_not_exist_is_told_with_the_kernels_reason()
    {
        const int NoDevice = 19;
        Assert.Equal(NoDevice, Assert.Throws<Win32Exception>(() => RouteNetlink.VfMacs(NoSuchInterface)).NativeErrorCode);
        Assert.Equal(NoDevice, Assert.Throws<Win32Exception>(() => RouteNetlink.SetVfMac(NoSuchInterface, 0, PhysicalAddress.Parse("52-54-00-00-00-01"))).NativeErrorCode);
    }

    [Fact]
    public void VF_MACs_are_found_in_a_link_message_and_a_cut_one_is_survived()
    {
        var list = new NetlinkMessage(16, 0, new byte[16]);
        list.Attribute(3, "eth1\0"u8);
        var outer = list.Open(22);
        foreach (byte vf in (byte[])[0, 1])
        {
            var info = list.Open(1);
            list.Attribute(1, [vf, 0, 0, 0, 0x52, 0x54, 0, 0, 1, vf, .. new byte[26]]);
            list.Attribute(2, new byte[12]);
            list.Close(info);
        }
        list.Close(outer);
        var bytes = list.ToArray();
        var macs = RouteNetlink.ParseVfMacs(bytes);
        Assert.Equal(2, macs.Count);
        Assert.Equal(PhysicalAddress.Parse("52-54-00-00-01-01"), macs[1]);
        for (var length = 0; length < bytes.Length; length++)
            Assert.True(RouteNetlink.ParseVfMacs(bytes.AsSpan(0, length)).Count <= 2);
    }
}
