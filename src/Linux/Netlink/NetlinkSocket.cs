using System.Buffers.Binary;
using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Linux.Netlink;

/// <summary>A NETLINK_ROUTE socket for single requests (netlink(7)).</summary>
internal sealed partial class NetlinkSocket : IDisposable
{
    private const int AfNetlink = 16, SockRaw = 3, SockCloseOnExec = 0x80000, NetlinkRoute = 0;
    private const int SolSocket = 1, SoReceiveTimeout = 20;
    private const ushort MessageError = 2, MessageDone = 3;
    private readonly SafeFileHandle _socket;
    private uint _sequence;

    public NetlinkSocket()
    {
        _socket = new SafeFileHandle(Check(CreateSocket(AfNetlink, SockRaw | SockCloseOnExec, NetlinkRoute), "socket"), ownsHandle: true);
        // The kernel answers before sendto(2) returns; the limit only keeps a lost message (ENOBUFS) from holding the agent for ever.
        ReadOnlySpan<long> limit = [5, 0];
        Check(SetOption(_socket, SolSocket, SoReceiveTimeout, MemoryMarshal.AsBytes(limit), 16), "setsockopt");
    }

    /// <summary>Sends a request and gives the answer's message, or nothing for a plain acknowledgement.</summary>
    /// <exception cref="Win32Exception">The kernel's errno.</exception>
    public byte[] Ask(byte[] request)
    {
        var sequence = ++_sequence;
        BinaryPrimitives.WriteUInt32LittleEndian(request.AsSpan(8), sequence);
        Check((int)Send(_socket, request, request.Length, 0), "send");
        // A PF with 256 VFs answers with about 60 KiB; MSG_TRUNC would show a larger one.
        var buffer = new byte[1 << 18];
        while (true)
        {
            var length = Check((int)Receive(_socket, buffer, buffer.Length, 0), "recv");
            if (NetlinkMessage.Find(buffer.AsSpan(0, length), sequence) is not { } found)
                continue;
            var type = found.Type;
            var message = buffer.AsSpan(found.Start, found.Length);
            if (type == MessageDone)
                return [];
            if (type != MessageError)
                return message.ToArray();
            var error = BinaryPrimitives.ReadInt32LittleEndian(message[NetlinkMessage.HeaderSize..]);
            return error == 0 ? [] : throw new Win32Exception(-error);
        }
    }

    public void Dispose() => _socket.Dispose();

    private static int Check(int result, string call) =>
        result >= 0 ? result : throw new Win32Exception(Marshal.GetLastPInvokeError(), $"{call}(AF_NETLINK): {Marshal.GetLastPInvokeErrorMessage()}");

    [LibraryImport("libc", EntryPoint = "socket", SetLastError = true)]
    private static partial int CreateSocket(int domain, int type, int protocol);

    [LibraryImport("libc", EntryPoint = "setsockopt", SetLastError = true)]
    private static partial int SetOption(SafeFileHandle socket, int level, int name, ReadOnlySpan<byte> value, uint length);

    [LibraryImport("libc", EntryPoint = "send", SetLastError = true)]
    private static partial nint Send(SafeFileHandle socket, ReadOnlySpan<byte> data, nint length, int flags);

    [LibraryImport("libc", EntryPoint = "recv", SetLastError = true)]
    private static partial nint Receive(SafeFileHandle socket, Span<byte> data, nint length, int flags);
}
