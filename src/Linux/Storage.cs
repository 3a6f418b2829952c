using System.Runtime.InteropServices;

namespace Exitless.Linux;

/// <summary>What a disk needs of a file or a block device besides reading and writing. The Try forms give an error number, 0 on success, and allocate nothing.</summary>
internal static unsafe partial class Storage
{
    private const int KeepSize = 1, PunchHole = 2, ZeroRange = 16;
    private const uint BlockDiscard = 0x1277, BlockZeroOut = 0x127f;

    /// <summary>fdatasync: what was written survives a loss of power.</summary>
    public static int TrySync(SafeHandle file)
    {
        int result;
        do result = SyncNative(file);
        while (result < 0 && Marshal.GetLastPInvokeError() == Errno.Interrupted);
        return result < 0 ? Marshal.GetLastPInvokeError() : 0;
    }

    /// <summary>Gives the blocks of a stretch back to the file system; it reads as zeros. On a block device it is a discard, after which it may read as anything.</summary>
    public static int TryPunch(SafeHandle file, long offset, long length, bool isBlockDevice) =>
        isBlockDevice ? TryBlock(file, BlockDiscard, offset, length) : TryAllocate(file, PunchHole | KeepSize, offset, length);

    /// <summary>Makes a stretch read as zeros without writing them; a file that ends before its end grows.</summary>
    public static int TryZero(SafeHandle file, long offset, long length, bool isBlockDevice) =>
        isBlockDevice ? TryBlock(file, BlockZeroOut, offset, length) : TryAllocate(file, ZeroRange, offset, length);

    private static int TryAllocate(SafeHandle file, int mode, long offset, long length)
    {
        int result;
        do result = AllocateNative(file, mode, offset, length);
        while (result < 0 && Marshal.GetLastPInvokeError() == Errno.Interrupted);
        return result < 0 ? Marshal.GetLastPInvokeError() : 0;
    }

    private static int TryBlock(SafeHandle file, uint request, long offset, long length)
    {
        Range range = new() { Offset = (ulong)offset, Length = (ulong)length };
        return Ioctl.Try(file, request, ref range) < 0 ? Ioctl.LastError : 0;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Range
    {
        public ulong Offset;
        public ulong Length;
    }

    [LibraryImport("libc", EntryPoint = "fdatasync", SetLastError = true)]
    private static partial int SyncNative(SafeHandle file);

    [LibraryImport("libc", EntryPoint = "fallocate", SetLastError = true)]
    private static partial int AllocateNative(SafeHandle file, int mode, long offset, long length);
}
