using System.Runtime.InteropServices;

namespace Exitless.Linux.Confinement;

/// <summary>A system call by number, to see whether it is refused.</summary>
internal static partial class RawSystemCall
{
    /// <summary>Makes the call.</summary>
    /// <returns>Its result, or the negative error number.</returns>
    public static nint Try(nint number, nint first = 0, nint second = 0, nint third = 0, nint fourth = 0, nint fifth = 0, nint sixth = 0)
    {
        var result = Native(number, first, second, third, fourth, fifth, sixth);
        return result == -1 ? -Marshal.GetLastPInvokeError() : result;
    }

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint Native(nint number, nint first, nint second, nint third, nint fourth, nint fifth, nint sixth);
}
