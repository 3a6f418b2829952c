using System.Runtime.InteropServices;

namespace Exitless.Linux;

/// <summary>The kernel's random numbers (getrandom(2)).</summary>
internal static unsafe partial class Randomness
{
    /// <summary>Fills memory; allocates nothing.</summary>
    /// <returns>False if the kernel gives none, which it only does before it is seeded at boot.</returns>
    public static bool TryFill(Span<byte> buffer)
    {
        fixed (byte* start = buffer)
        {
            for (var done = 0; done < buffer.Length;)
            {
                var count = Native(start + done, (nuint)(buffer.Length - done), 0);
                if (count > 0)
                    done += (int)count;
                else if (Marshal.GetLastPInvokeError() != Errno.Interrupted)
                    return false;
            }
        }
        return true;
    }

    [LibraryImport("libc", EntryPoint = "getrandom", SetLastError = true)]
    private static partial nint Native(byte* buffer, nuint length, uint flags);
}
