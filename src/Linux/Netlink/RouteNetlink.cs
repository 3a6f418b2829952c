using System.Buffers.Binary;
using System.ComponentModel;
using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;

namespace Exitless.Linux.Netlink;

/// <summary>What an Exitless host asks of the kernel's routing socket: a PF's VFs, a VF's MAC, link up, and the way to an address (rtnetlink(7), linux/if_link.h).</summary>
public static class RouteNetlink
{
    private const ushort NewLink = 16, GetLink = 18, SetLink = 19, GetRoute = 26;
    private const ushort FlagRequest = 1, FlagAck = 4;
    private const ushort LinkVfInfoList = 22, LinkExtMask = 29, VfInfo = 1, VfMac = 1;
    private const int ExtMaskVf = 1, LinkHeaderSize = 16, RouteHeaderSize = 12;
    private const int VfMacSize = 4 + 32;   // struct ifla_vf_mac: u32 vf, u8 mac[32]
    private const ushort RouteDestination = 1, RouteOutInterface = 4;
    private const int InterfaceUp = 1;

    /// <summary>The MACs of a PF's VFs by VF index, as the PF's driver has them.</summary>
    /// <exception cref="Win32Exception">The kernel's errno.</exception>
    public static IReadOnlyDictionary<int, PhysicalAddress> VfMacs(int pfInterface)
    {
        Span<byte> mask = stackalloc byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(mask, ExtMaskVf);
        using var socket = new NetlinkSocket();
        var answer = socket.Ask(new NetlinkMessage(GetLink, FlagRequest, LinkHeader(pfInterface, 0, 0)).Attribute(LinkExtMask, mask).ToArray());
        return ParseVfMacs(answer);
    }

    /// <summary>Sets a VF's MAC; the VF's driver cannot change it afterwards.</summary>
    /// <exception cref="Win32Exception">The kernel's errno: EOPNOTSUPP where the PF's driver cannot, EINVAL for a multicast MAC or an unknown VF.</exception>
    public static void SetVfMac(int pfInterface, int vf, PhysicalAddress mac)
    {
        Span<byte> value = stackalloc byte[VfMacSize];
        value.Clear();
        BinaryPrimitives.WriteInt32LittleEndian(value, vf);
        mac.GetAddressBytes().CopyTo(value[4..]);
        var message = new NetlinkMessage(SetLink, FlagRequest | FlagAck, LinkHeader(pfInterface, 0, 0));
        var list = message.Open(LinkVfInfoList);
        var info = message.Open(VfInfo);
        message.Attribute(VfMac, value);
        message.Close(info);
        message.Close(list);
        using var socket = new NetlinkSocket();
        socket.Ask(message.ToArray());
    }

    /// <summary>Brings an interface up.</summary>
    /// <exception cref="Win32Exception">The kernel's errno.</exception>
    public static void SetUp(int index)
    {
        using var socket = new NetlinkSocket();
        socket.Ask(new NetlinkMessage(SetLink, FlagRequest | FlagAck, LinkHeader(index, InterfaceUp, InterfaceUp)).ToArray());
    }

    /// <summary>The index of the interface that packets to an address leave by; null: there is no route.</summary>
    public static int? InterfaceTo(IPAddress destination)
    {
        var address = destination.GetAddressBytes();
        Span<byte> header = stackalloc byte[RouteHeaderSize];
        header.Clear();
        header[0] = (byte)(destination.AddressFamily == AddressFamily.InterNetworkV6 ? 10 : 2);   // AF_INET6, AF_INET
        header[1] = (byte)(address.Length * 8);
        using var socket = new NetlinkSocket();
        try
        {
            var answer = socket.Ask(new NetlinkMessage(GetRoute, FlagRequest, header).Attribute(RouteDestination, address).ToArray());
            if (answer.Length < NetlinkMessage.HeaderSize + RouteHeaderSize)
                return null;
            var index = NetlinkMessage.Find(answer.AsSpan(NetlinkMessage.HeaderSize + RouteHeaderSize), RouteOutInterface);
            return index.Length >= 4 ? BinaryPrimitives.ReadInt32LittleEndian(index) : null;
        }
        catch (Win32Exception)
        {
            return null;   // ENETUNREACH
        }
    }

    /// <summary>Reads IFLA_VFINFO_LIST out of an RTM_NEWLINK message.</summary>
    internal static IReadOnlyDictionary<int, PhysicalAddress> ParseVfMacs(ReadOnlySpan<byte> newLink)
    {
        var macs = new Dictionary<int, PhysicalAddress>();
        if (newLink.Length < NetlinkMessage.HeaderSize + LinkHeaderSize || BinaryPrimitives.ReadUInt16LittleEndian(newLink[4..]) != NewLink)
            return macs;
        foreach (var info in new NetlinkMessage.Walk(NetlinkMessage.Find(newLink[(NetlinkMessage.HeaderSize + LinkHeaderSize)..], LinkVfInfoList)))
        {
            var mac = NetlinkMessage.Find(info.Value, VfMac);
            if (mac.Length >= 4 + 6)
                macs[BinaryPrimitives.ReadInt32LittleEndian(mac)] = new PhysicalAddress(mac.Slice(4, 6).ToArray());
        }
        return macs;
    }

    // struct ifinfomsg: u8 family, u8 pad, u16 type, i32 index, u32 flags, u32 change
    private static byte[] LinkHeader(int index, int flags, int change)
    {
        var header = new byte[LinkHeaderSize];
        BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(4), index);
        BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(8), flags);
        BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(12), change);
        return header;
    }
}
