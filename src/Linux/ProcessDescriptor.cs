using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Linux;

/// <summary>A process held by a pidfd (pidfd_open(2)), so that its number cannot come to mean another process.</summary>
public sealed partial class ProcessDescriptor : IDisposable
{
    private const nint PidfdOpen = 434, PidfdSendSignal = 424;
    private const int ByPidfd = 3, Exited = 4, NoHang = 1;
    private readonly SafeFileHandle _handle;

    private ProcessDescriptor(int id, SafeFileHandle handle)
    {
        Id = id;
        _handle = handle;
    }

    /// <summary>The process id.</summary>
    public int Id { get; }

    /// <summary>True once the process has ended, reaped or not.</summary>
    public bool HasEnded => Poll.IsReadable(_handle, 0);

    /// <summary>Takes hold of a running process.</summary>
    /// <returns>Null if there is no such process.</returns>
    public static ProcessDescriptor? Open(int id)
    {
        var descriptor = OpenNative(PidfdOpen, id, 0);
        if (descriptor >= 0)
            return new ProcessDescriptor(id, Files.Own((int)descriptor));
        return Marshal.GetLastPInvokeError() is Errno.NoProcess or Errno.Invalid ? null : throw LinuxException.FromLastError($"pidfd_open {id}");
    }

    /// <summary>Completes when the process has ended, and reaps it if it is a child of this process.</summary>
    /// <returns>The exit code, 128 plus the signal's number if a signal ended it, or null if it was nobody's child here.</returns>
    public async Task<int?> WaitForExitAsync(CancellationToken cancellationToken)
    {
        await Readiness.WaitReadableAsync(_handle, cancellationToken);
        return Reap();
    }

    /// <summary>Sends a signal; false if the process has ended.</summary>
    public bool Signal(int signal)
    {
        if (SignalNative(PidfdSendSignal, _handle, signal, 0, 0) >= 0)
            return true;
        return Marshal.GetLastPInvokeError() == Errno.NoProcess ? false : throw LinuxException.FromLastError($"pidfd_send_signal {Id}");
    }

    /// <inheritdoc />
    public void Dispose() => _handle.Dispose();

    private unsafe int? Reap()
    {
        // siginfo_t of waitid: si_code at 8, si_status at 24.
        var info = stackalloc int[32];
        new Span<int>(info, 32).Clear();
        if (WaitNative(ByPidfd, _handle, info, Exited | NoHang) < 0 || info[0] == 0)
            return null;
        const int normalExit = 1;
        return info[2] == normalExit ? info[6] : 128 + info[6];
    }

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint OpenNative(nint number, nint process, nint flags);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint SignalNative(nint number, SafeHandle process, nint signal, nint info, nint flags);

    [LibraryImport("libc", EntryPoint = "waitid", SetLastError = true)]
    private static unsafe partial int WaitNative(int kind, SafeHandle process, int* info, int options);
}
