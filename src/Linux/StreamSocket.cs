using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Linux;

/// <summary>Calls on stream sockets that somebody else has opened. Nothing here throws, waits or, but for the descriptor of a new connection, allocates.</summary>
internal static unsafe partial class StreamSocket
{
    private const int NonBlocking = 0x800, CloseOnExec = 0x80000;
    private const int DoNotWait = 0x40, NoSignal = 0x4000;
    private const int SocketLevel = 1, KindOption = 3, ListensOption = 30, FamilyOption = 39;
    private const int FamilyUnix = 1, Stream = 1;
    private const int ShutReading = 0, ShutWriting = 1;

    /// <summary>True if a descriptor is a Unix stream socket that listens.</summary>
    public static bool IsUnixListener(SafeHandle socket) =>
        Option(socket, FamilyOption) == FamilyUnix && Option(socket, KindOption) == Stream && Option(socket, ListensOption) == 1;

    /// <summary>The next connection, which does not wait either; null if there is none.</summary>
    public static SafeFileHandle? TryAccept(SafeHandle listener)
    {
        var descriptor = AcceptNative(listener, 0, 0, NonBlocking | CloseOnExec);
        return descriptor < 0 ? null : Files.Own(descriptor);
    }

    /// <summary>Sends what there is room for.</summary>
    /// <returns>How many bytes went; -1 and the error number where none could.</returns>
    public static nint TrySend(SafeHandle socket, ReadOnlySpan<IoVector> vectors, out int error)
    {
        nint count;
        fixed (IoVector* first = vectors)
        {
            var message = new Message { Vectors = first, VectorCount = (nuint)vectors.Length };
            do
            {
                count = SendNative(socket, ref message, NoSignal | DoNotWait);
                error = count < 0 ? Marshal.GetLastPInvokeError() : 0;
            }
            while (error == Errno.Interrupted);
        }
        return count;
    }

    /// <summary>The other end reads no more than what was sent.</summary>
    public static void EndSending(SafeHandle socket) => _ = ShutdownNative(socket, ShutWriting);

    /// <summary>The other end can send no more.</summary>
    public static void EndReceiving(SafeHandle socket) => _ = ShutdownNative(socket, ShutReading);

    private static int Option(SafeHandle socket, int option)
    {
        var (value, length) = (-1, sizeof(int));
        return OptionNative(socket, SocketLevel, option, ref value, ref length) < 0 ? -1 : value;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Message
    {
        public void* Name;
        public uint NameLength;
        public IoVector* Vectors;
        public nuint VectorCount;
        public void* Control;
        public nuint ControlLength;
        public int Flags;
    }

    [LibraryImport("libc", EntryPoint = "accept4", SetLastError = true)]
    private static partial int AcceptNative(SafeHandle socket, nint address, nint length, int flags);

    [LibraryImport("libc", EntryPoint = "sendmsg", SetLastError = true)]
    private static partial nint SendNative(SafeHandle socket, ref Message message, int flags);

    [LibraryImport("libc", EntryPoint = "shutdown", SetLastError = true)]
    private static partial int ShutdownNative(SafeHandle socket, int how);

    [LibraryImport("libc", EntryPoint = "getsockopt", SetLastError = true)]
    private static partial int OptionNative(SafeHandle socket, int level, int option, ref int value, ref int length);
}
