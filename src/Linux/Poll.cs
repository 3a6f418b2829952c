using System.Runtime.InteropServices;

namespace Exitless.Linux;

/// <summary>poll(2) on one descriptor.</summary>
internal static partial class Poll
{
    private const short Readable = 1, Writable = 4;

    /// <summary>Waits until a descriptor can be read, or has ended or failed. Allocates nothing.</summary>
    /// <param name="file">The descriptor.</param>
    /// <param name="limitMilliseconds">How long to wait; -1 for ever.</param>
    public static bool IsReadable(SafeHandle file, int limitMilliseconds) => Wait(file, Readable, limitMilliseconds);

    /// <summary>Waits until a descriptor can be written, or has ended or failed.</summary>
    public static bool IsWritable(SafeHandle file, int limitMilliseconds) => Wait(file, Writable, limitMilliseconds);

    private static bool Wait(SafeHandle file, short events, int limitMilliseconds)
    {
        var added = false;
        try
        {
            file.DangerousAddRef(ref added);
            var entry = new Entry { Descriptor = (int)file.DangerousGetHandle(), Events = events };
            int count;
            do count = Native(ref entry, 1, limitMilliseconds);
            while (count < 0 && Marshal.GetLastPInvokeError() == Errno.Interrupted);
            return count > 0;
        }
        finally
        {
            if (added)
                file.DangerousRelease();
        }
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Entry
    {
        public int Descriptor;
        public short Events;
        public short Returned;
    }

    [LibraryImport("libc", EntryPoint = "poll", SetLastError = true)]
    private static partial int Native(ref Entry entries, nuint count, int limit);
}
