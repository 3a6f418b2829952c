using System.Runtime.InteropServices;
using Exitless.Linux;

namespace Exitless.Vmm.Vfio;

/// <summary>ioctl(2) on VFIO's files. Gives -1 for a failure and leaves the error in <see cref="Ioctl.LastError"/>. Allocates nothing.</summary>
internal interface IVfioCalls
{
    int Try(SafeHandle file, uint request, nint argument = 0);

    int Try(SafeHandle file, uint request, Span<byte> argument);
}

/// <summary>The kernel's.</summary>
internal sealed class VfioCalls : IVfioCalls
{
    private VfioCalls()
    {
    }

    public static VfioCalls Kernel { get; } = new();

    public int Try(SafeHandle file, uint request, nint argument = 0) => Ioctl.Try(file, request, argument);

    public int Try(SafeHandle file, uint request, Span<byte> argument) => Ioctl.Try(file, request, argument);
}

/// <summary>The same with structures, and with failures as exceptions.</summary>
internal static class VfioCallForms
{
    public static int Try<T>(this IVfioCalls calls, SafeHandle file, uint request, ref T argument) where T : unmanaged =>
        calls.Try(file, request, MemoryMarshal.AsBytes(new Span<T>(ref argument)));

    /// <exception cref="LinuxException">The kernel refused.</exception>
    public static void Call(this IVfioCalls calls, SafeHandle file, uint request, string name, Span<byte> argument)
    {
        if (calls.Try(file, request, argument) < 0)
            throw new LinuxException(name, Ioctl.LastError);
    }

    /// <inheritdoc cref="Call" />
    public static void Call<T>(this IVfioCalls calls, SafeHandle file, uint request, string name, ref T argument) where T : unmanaged =>
        calls.Call(file, request, name, MemoryMarshal.AsBytes(new Span<T>(ref argument)));
}
