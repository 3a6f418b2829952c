using System.Runtime.InteropServices;

namespace Exitless.Linux;

/// <summary>ioctl in the shapes that KVM and VFIO use. The Try forms give -1 and leave the error in <see cref="LastError"/>; none allocates.</summary>
internal static partial class Ioctl
{
    /// <summary>The error number of this thread's last failed call.</summary>
    public static int LastError => Marshal.GetLastPInvokeError();

    public static int Try(SafeHandle file, uint request, nint argument = 0) => Native(file, request, argument);

    public static int Try<T>(SafeHandle file, uint request, ref T argument) where T : unmanaged
    {
        unsafe
        {
            fixed (T* pointer = &argument)
                return Native(file, request, (nint)pointer);
        }
    }

    public static int Try(SafeHandle file, uint request, Span<byte> argument)
    {
        unsafe
        {
            fixed (byte* pointer = argument)
                return Native(file, request, (nint)pointer);
        }
    }

    public static int Call(SafeHandle file, uint request, string name, nint argument = 0) =>
        Native(file, request, argument) is var result and >= 0 ? result : throw LinuxException.FromLastError(name);

    public static int Call<T>(SafeHandle file, uint request, string name, ref T argument) where T : unmanaged =>
        Try(file, request, ref argument) is var result and >= 0 ? result : throw LinuxException.FromLastError(name);

    public static int Call(SafeHandle file, uint request, string name, Span<byte> argument) =>
        Try(file, request, argument) is var result and >= 0 ? result : throw LinuxException.FromLastError(name);

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static partial int Native(SafeHandle file, nuint request, nint argument);
}
