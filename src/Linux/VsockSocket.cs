using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Linux;

/// <summary>A stream socket from a guest to its host (vsock(7)). Its calls wait.</summary>
public sealed partial class VsockSocket : IDisposable
{
    /// <summary>The host, as its guests address it (VMADDR_CID_HOST).</summary>
    public const uint HostCid = 2;

    private const int FamilyVsock = 40, Stream = 1, CloseOnExec = 0x80000;
    private const int NoSignal = 0x4000;
    private readonly SafeFileHandle _handle;

    private VsockSocket(SafeFileHandle handle) => _handle = handle;

    /// <summary>Connects to a port. The kernel gives up after two seconds.</summary>
    /// <param name="cid">Whose port.</param>
    /// <param name="port">The port.</param>
    /// <exception cref="LinuxException">Nobody listens there, or this machine has no vsock.</exception>
    public static VsockSocket Connect(uint cid, uint port)
    {
        var descriptor = SocketNative(FamilyVsock, Stream | CloseOnExec, 0);
        if (descriptor < 0)
            throw LinuxException.FromLastError("socket AF_VSOCK");
        var handle = Files.Own(descriptor);
        var address = new Address { Family = FamilyVsock, Port = port, Cid = cid };
        if (ConnectNative(handle, ref address, Address.Bytes) >= 0)
            return new VsockSocket(handle);
        var failure = LinuxException.FromLastError($"connect to port {port} of the machine {cid}");
        handle.Dispose();
        throw failure;
    }

    /// <summary>Sends all of the data.</summary>
    /// <exception cref="LinuxException">The other end has gone.</exception>
    public void Send(ReadOnlySpan<byte> data)
    {
        while (!data.IsEmpty)
        {
            var count = SendNative(_handle, ref MemoryMarshal.GetReference(data), (nuint)data.Length, NoSignal);
            if (count >= 0)
                data = data[(int)count..];
            else if (Marshal.GetLastPInvokeError() != Errno.Interrupted)
                throw LinuxException.FromLastError("send");
        }
    }

    /// <inheritdoc />
    public void Dispose() => _handle.Dispose();

    // struct sockaddr_vm, include/uapi/linux/vm_sockets.h: the rest is flags and zeros.
    [StructLayout(LayoutKind.Sequential, Size = Bytes)]
    private struct Address
    {
        public const int Bytes = 16;
        public ushort Family;
        public ushort Reserved;
        public uint Port;
        public uint Cid;
    }

    [LibraryImport("libc", EntryPoint = "socket", SetLastError = true)]
    private static partial int SocketNative(int family, int kind, int protocol);

    [LibraryImport("libc", EntryPoint = "connect", SetLastError = true)]
    private static partial int ConnectNative(SafeHandle socket, ref Address address, uint length);

    [LibraryImport("libc", EntryPoint = "send", SetLastError = true)]
    private static partial nint SendNative(SafeHandle socket, ref byte data, nuint length, int flags);
}
