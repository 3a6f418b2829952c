using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Linux;

/// <summary>A Unix stream socket that carries bytes and descriptors (SCM_RIGHTS, unix(7)). Non-blocking.</summary>
internal sealed unsafe partial class UnixSocket : IDisposable
{
    /// <summary>The kernel takes no more descriptors in one message (SCM_MAX_FD).</summary>
    public const int MaxDescriptors = 253;

    private const int FamilyUnix = 1, Stream = 1, NonBlocking = 0x800, CloseOnExec = 0x80000;
    private const int SocketLevel = 1, Rights = 1;
    private const int NoSignal = 0x4000, ReceiveCloseOnExec = 0x40000000;
    private const int PathRoom = 108;
    private const int HeaderBytes = 16;

    private UnixSocket(SafeFileHandle handle) => Handle = handle;

    public SafeFileHandle Handle { get; }

    /// <summary>Makes a listening socket at a path, readable and writable by its owner only. A stale socket file is replaced.</summary>
    public static UnixSocket Listen(string path)
    {
        var socket = New();
        try
        {
            var address = Address(path);
            // The mode of the socket's inode before bind is the mode of the file that bind makes: no moment in which others can connect.
            if (ModeNative(socket.Handle, 0x180) < 0)
                throw LinuxException.FromLastError($"fchmod of the socket for {path}");
            File.Delete(path);
            if (BindNative(socket.Handle, ref address[0], (uint)address.Length) < 0)
                throw LinuxException.FromLastError($"bind {path}");
            if (ListenNative(socket.Handle, 16) < 0)
                throw LinuxException.FromLastError($"listen {path}");
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    public static UnixSocket Connect(string path)
    {
        var socket = New();
        var address = Address(path);
        if (ConnectNative(socket.Handle, ref address[0], (uint)address.Length) >= 0)
            return socket;
        var failure = LinuxException.FromLastError($"connect {path}");
        socket.Dispose();
        throw failure;
    }

    /// <summary>The next connection, or null when none waits.</summary>
    public UnixSocket? Accept()
    {
        var descriptor = AcceptNative(Handle, 0, 0, NonBlocking | CloseOnExec);
        return descriptor < 0 ? null : new UnixSocket(Files.Own(descriptor));
    }

    /// <summary>Sends bytes, and descriptors with the first of them.</summary>
    /// <returns>How many bytes went; 0 when there is no room now. Descriptors have gone if any byte has.</returns>
    public int Send(ReadOnlySpan<byte> data, IReadOnlyList<SafeFileHandle> descriptors)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(descriptors.Count, MaxDescriptors);
        var held = 0;
        try
        {
            var bytes = HeaderBytes + (descriptors.Count * sizeof(int));
            var control = stackalloc byte[(bytes + 7) & ~7];
            *(nuint*)control = (nuint)bytes;
            ((int*)control)[2] = SocketLevel;
            ((int*)control)[3] = Rights;
            foreach (var descriptor in descriptors)
            {
                var added = false;
                descriptor.DangerousAddRef(ref added);
                ((int*)(control + HeaderBytes))[held++] = (int)descriptor.DangerousGetHandle();
            }
            fixed (byte* start = data)
            {
                var vector = new Vector { Base = start, Length = (nuint)data.Length };
                var message = new Message { Vectors = &vector, VectorCount = 1 };
                if (held > 0)
                {
                    message.Control = control;
                    message.ControlLength = (nuint)((bytes + 7) & ~7);
                }
                nint count;
                do count = SendNative(Handle, ref message, NoSignal);
                while (count < 0 && Marshal.GetLastPInvokeError() == Errno.Interrupted);
                if (count >= 0)
                    return (int)count;
                return Marshal.GetLastPInvokeError() == Errno.Again ? 0 : throw LinuxException.FromLastError("sendmsg");
            }
        }
        finally
        {
            for (var i = 0; i < held; i++)
                descriptors[i].DangerousRelease();
        }
    }

    /// <summary>Receives what is there.</summary>
    /// <returns>How many bytes came; 0 when the other end has closed; -1 when nothing waits.</returns>
    public int Receive(Span<byte> buffer, Queue<SafeFileHandle> descriptors)
    {
        var controlBytes = HeaderBytes + (MaxDescriptors * sizeof(int)) + 4;
        var control = stackalloc byte[controlBytes];
        fixed (byte* start = buffer)
        {
            var vector = new Vector { Base = start, Length = (nuint)buffer.Length };
            var message = new Message { Vectors = &vector, VectorCount = 1, Control = control, ControlLength = (nuint)controlBytes };
            nint count;
            do count = ReceiveNative(Handle, ref message, ReceiveCloseOnExec);
            while (count < 0 && Marshal.GetLastPInvokeError() == Errno.Interrupted);
            if (count < 0)
                return Marshal.GetLastPInvokeError() == Errno.Again ? -1 : throw LinuxException.FromLastError("recvmsg");
            for (nuint at = 0; at + HeaderBytes <= message.ControlLength;)
            {
                var length = *(nuint*)(control + at);
                if (length < HeaderBytes || at + length > message.ControlLength)
                    break;
                if (((int*)(control + at))[2] == SocketLevel && ((int*)(control + at))[3] == Rights)
                {
                    for (var i = at + HeaderBytes; i + sizeof(int) <= at + length; i += sizeof(int))
                        descriptors.Enqueue(Files.Own(*(int*)(control + i)));
                }
                at += (length + 7) & ~(nuint)7;
            }
            return (int)count;
        }
    }

    public void Dispose() => Handle.Dispose();

    private static UnixSocket New()
    {
        var descriptor = SocketNative(FamilyUnix, Stream | NonBlocking | CloseOnExec, 0);
        return descriptor < 0 ? throw LinuxException.FromLastError("socket") : new UnixSocket(Files.Own(descriptor));
    }

    private static byte[] Address(string path)
    {
        var name = Encoding.UTF8.GetBytes(path);
        if (name.Length >= PathRoom)
            throw new ArgumentException($"The socket path '{path}' is {name.Length} bytes long; the kernel allows {PathRoom - 1}. Use a shorter folder.", nameof(path));
        var address = new byte[2 + name.Length + 1];
        address[0] = FamilyUnix;
        name.CopyTo(address.AsSpan(2));
        return address;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Vector
    {
        public byte* Base;
        public nuint Length;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Message
    {
        public void* Name;
        public uint NameLength;
        public Vector* Vectors;
        public nuint VectorCount;
        public void* Control;
        public nuint ControlLength;
        public int Flags;
    }

    [LibraryImport("libc", EntryPoint = "socket", SetLastError = true)]
    private static partial int SocketNative(int family, int type, int protocol);

    [LibraryImport("libc", EntryPoint = "bind", SetLastError = true)]
    private static partial int BindNative(SafeHandle socket, ref byte address, uint length);

    [LibraryImport("libc", EntryPoint = "listen", SetLastError = true)]
    private static partial int ListenNative(SafeHandle socket, int backlog);

    [LibraryImport("libc", EntryPoint = "connect", SetLastError = true)]
    private static partial int ConnectNative(SafeHandle socket, ref byte address, uint length);

    [LibraryImport("libc", EntryPoint = "accept4", SetLastError = true)]
    private static partial int AcceptNative(SafeHandle socket, nint address, nint length, int flags);

    [LibraryImport("libc", EntryPoint = "fchmod", SetLastError = true)]
    private static partial int ModeNative(SafeHandle socket, uint mode);

    [LibraryImport("libc", EntryPoint = "sendmsg", SetLastError = true)]
    private static partial nint SendNative(SafeHandle socket, ref Message message, int flags);

    [LibraryImport("libc", EntryPoint = "recvmsg", SetLastError = true)]
    private static partial nint ReceiveNative(SafeHandle socket, ref Message message, int flags);
}
