using System.Runtime.InteropServices;

namespace Exitless.Linux;

/// <summary>One stretch of this process's memory: struct iovec.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly unsafe struct IoVector(byte* start, nuint length)
{
    public readonly byte* Start = start;
    public readonly nuint Length = length;

    public Span<byte> Span => new(Start, (int)Length);
}

/// <summary>readv, writev and their positioned forms, straight to and from memory that is not the runtime's. Nothing here allocates; failures give -1 and the error number.</summary>
internal static unsafe partial class VectorIo
{
    /// <summary>The kernel takes no more stretches in one call (UIO_MAXIOV).</summary>
    public const int MostVectors = 1024;

    public static nint TryReadAt(SafeHandle file, ReadOnlySpan<IoVector> vectors, long offset, out int error) => Untiring(&ReadAtNative, file, vectors, offset, out error);

    public static nint TryWriteAt(SafeHandle file, ReadOnlySpan<IoVector> vectors, long offset, out int error) => Untiring(&WriteAtNative, file, vectors, offset, out error);

    public static nint TryRead(SafeHandle file, ReadOnlySpan<IoVector> vectors, out int error) => Untiring(&ReadNative, file, vectors, 0, out error);

    public static nint TryWrite(SafeHandle file, ReadOnlySpan<IoVector> vectors, out int error) => Untiring(&WriteNative, file, vectors, 0, out error);

    // A signal that interrupts a call begins it anew.
    private static nint Untiring(delegate*<SafeHandle, IoVector*, int, long, nint> call, SafeHandle file, ReadOnlySpan<IoVector> vectors, long offset, out int error)
    {
        nint count;
        fixed (IoVector* first = vectors)
        {
            do
            {
                count = call(file, first, vectors.Length, offset);
                error = count < 0 ? Marshal.GetLastPInvokeError() : 0;
            }
            while (error == Errno.Interrupted);
        }
        return count;
    }

    private static nint ReadNative(SafeHandle file, IoVector* vectors, int count, long offset) => ReadNative(file, vectors, count);

    private static nint WriteNative(SafeHandle file, IoVector* vectors, int count, long offset) => WriteNative(file, vectors, count);

    [LibraryImport("libc", EntryPoint = "preadv", SetLastError = true)]
    private static partial nint ReadAtNative(SafeHandle file, IoVector* vectors, int count, long offset);

    [LibraryImport("libc", EntryPoint = "pwritev", SetLastError = true)]
    private static partial nint WriteAtNative(SafeHandle file, IoVector* vectors, int count, long offset);

    [LibraryImport("libc", EntryPoint = "readv", SetLastError = true)]
    private static partial nint ReadNative(SafeHandle file, IoVector* vectors, int count);

    [LibraryImport("libc", EntryPoint = "writev", SetLastError = true)]
    private static partial nint WriteNative(SafeHandle file, IoVector* vectors, int count);
}
