using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Linux;

/// <summary>TAP interfaces (Documentation/networking/tuntap.rst): an Ethernet link whose other end is a descriptor.</summary>
public static class Tap
{
    private const uint SetInterface = 0x400454ca, GetInterface = 0x800454d2, SetOffloads = 0x400454d0, SetHeaderBytes = 0x400454d8;
    private const short IsTap = 2, NoPacketInfo = 0x1000, HasHeader = 0x4000;
    private const int MostNameBytes = 15;

    /// <summary>Opens a TAP interface, and makes it if there is none of that name; packets carry a virtio header.</summary>
    /// <param name="device">/dev/net/tun.</param>
    /// <param name="name">The interface's name, at most 15 bytes.</param>
    public static SafeFileHandle Open(string device, string name)
    {
        var bytes = Encoding.UTF8.GetBytes(name);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bytes.Length, MostNameBytes, nameof(name));
        var file = Files.Open(device, OpenMode.ReadWrite | OpenMode.NonBlocking);
        var request = new Request { Flags = IsTap | NoPacketInfo | HasHeader };
        bytes.CopyTo(request.Name);
        if (Ioctl.Try(file, SetInterface, ref request) >= 0)
            return file;
        var failure = new LinuxException($"TUNSETIFF {name}", Ioctl.LastError);
        file.Dispose();
        throw failure;
    }

    /// <summary>True if a descriptor leads to a TAP interface whose packets carry a virtio header.</summary>
    internal static bool IsOpen(SafeHandle file)
    {
        var request = default(Request);
        return Ioctl.Try(file, GetInterface, ref request) >= 0 && (request.Flags & (IsTap | HasHeader)) == (IsTap | HasHeader);
    }

    /// <summary>How many bytes the header has: 12 with the count of merged buffers.</summary>
    internal static int TrySetHeaderBytes(SafeHandle file, int bytes) => Ioctl.Try(file, SetHeaderBytes, ref bytes) < 0 ? Ioctl.LastError : 0;

    /// <summary>What the reader of packets can do itself: checksums (1), large IPv4 (2) and IPv6 (4) TCP segments, with ECN (8).</summary>
    internal static int TrySetOffloads(SafeHandle file, uint offloads) => Ioctl.Try(file, SetOffloads, (nint)offloads) < 0 ? Ioctl.LastError : 0;

    [StructLayout(LayoutKind.Sequential, Size = 40)]
    private struct Request
    {
        public NameBytes Name;
        public short Flags;
    }

    [System.Runtime.CompilerServices.InlineArray(16)]
    private struct NameBytes
    {
        private byte _first;
    }
}
