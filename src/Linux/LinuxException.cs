using System.Runtime.InteropServices;

namespace Exitless.Linux;

/// <summary>A system call failed. The message names the call, what it was about and the kernel's reason.</summary>
public sealed class LinuxException : IOException
{
    /// <summary>Makes the exception of one failed call.</summary>
    /// <param name="call">The call and what it was about, such as <c>open /dev/kvm</c>.</param>
    /// <param name="error">The error number, see <see cref="Linux.Errno"/>.</param>
    public LinuxException(string call, int error)
        : base($"{call}: {Marshal.GetPInvokeErrorMessage(error)} (errno {error})")
    {
        Call = call;
        Errno = error;
    }

    /// <summary>The call that failed.</summary>
    public string Call { get; }

    /// <summary>The error number, see <see cref="Linux.Errno"/>.</summary>
    public int Errno { get; }

    internal static LinuxException FromLastError(string call) => new(call, Marshal.GetLastPInvokeError());
}
