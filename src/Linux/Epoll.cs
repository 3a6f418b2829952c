using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Linux;

/// <summary>What <see cref="Epoll"/> waits for and reports; values of sys/epoll.h.</summary>
[Flags]
internal enum EpollEvents : uint
{
    None = 0,
    Readable = 1,
    Writable = 4,
    Error = 8,
    HungUp = 16,
    OneShot = 1u << 30,
}

/// <summary>One report of <see cref="Epoll.Wait"/>: struct epoll_event, which is packed on x86-64.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
internal struct EpollEvent
{
    public EpollEvents Events;
    public ulong Tag;
}

/// <summary>epoll(7): waits on many descriptors at once.</summary>
internal sealed partial class Epoll : IDisposable
{
    private const int CloseOnExec = 0x80000;
    private const int Add_ = 1, Remove_ = 2, Modify_ = 3;
    private readonly SafeFileHandle _handle;

    public Epoll()
    {
        var descriptor = Create(CloseOnExec);
        _handle = descriptor < 0 ? throw LinuxException.FromLastError("epoll_create1") : Files.Own(descriptor);
    }

    public void Add(SafeHandle file, EpollEvents events, ulong tag) => Control(Add_, file, events, tag);

    public void Modify(SafeHandle file, EpollEvents events, ulong tag) => Control(Modify_, file, events, tag);

    /// <summary>Forgets a descriptor. One that is closed already is forgotten by the kernel itself.</summary>
    public void Remove(SafeHandle file)
    {
        if (file.IsClosed)
            return;
        var ignored = default(EpollEvent);
        _ = ControlNative(_handle, Remove_, file, ref ignored);
    }

    /// <summary>Waits for reports.</summary>
    /// <param name="reports">Room for them.</param>
    /// <param name="limitMilliseconds">How long to wait; -1 for ever.</param>
    /// <returns>How many reports there are; 0 after the limit or a signal.</returns>
    public int Wait(Span<EpollEvent> reports, int limitMilliseconds)
    {
        var count = WaitNative(_handle, ref MemoryMarshal.GetReference(reports), reports.Length, limitMilliseconds);
        if (count >= 0)
            return count;
        return Marshal.GetLastPInvokeError() == Errno.Interrupted ? 0 : throw LinuxException.FromLastError("epoll_wait");
    }

    public void Dispose() => _handle.Dispose();

    private void Control(int operation, SafeHandle file, EpollEvents events, ulong tag)
    {
        var entry = new EpollEvent { Events = events, Tag = tag };
        if (ControlNative(_handle, operation, file, ref entry) < 0)
            throw LinuxException.FromLastError("epoll_ctl");
    }

    [LibraryImport("libc", EntryPoint = "epoll_create1", SetLastError = true)]
    private static partial int Create(int flags);

    [LibraryImport("libc", EntryPoint = "epoll_ctl", SetLastError = true)]
    private static partial int ControlNative(SafeHandle epoll, int operation, SafeHandle file, ref EpollEvent entry);

    [LibraryImport("libc", EntryPoint = "epoll_wait", SetLastError = true)]
    private static partial int WaitNative(SafeHandle epoll, ref EpollEvent reports, int count, int limit);
}
