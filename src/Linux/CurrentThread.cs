using System.Runtime.InteropServices;

namespace Exitless.Linux;

/// <summary>The calling thread as the kernel sees it: its id, its signals, its CPUs, its name.</summary>
internal static unsafe partial class CurrentThread
{
    private const int Block = 0;
    private const int SetName_ = 15;
    private const int KernelSetBytes = 8;
    private const int MaxCpus = 1024;

    /// <summary>The thread's id, as in /proc/[pid]/task.</summary>
    public static int Id => GetIdNative();

    /// <summary>Blocks a signal in the calling thread.</summary>
    /// <returns>The mask of signals that were blocked before; bit n-1 is signal n.</returns>
    public static ulong BlockSignal(int signal)
    {
        var set = stackalloc ulong[16];
        var old = stackalloc ulong[16];
        new Span<ulong>(set, 16).Clear();
        set[0] = 1UL << (signal - 1);
        var error = MaskNative(Block, set, old);
        return error != 0 ? throw new LinuxException("pthread_sigmask", error) : old[0];
    }

    /// <summary>Takes a pending, blocked signal off the calling thread, if there is one. Allocates nothing.</summary>
    public static bool TakeSignal(int signal)
    {
        var set = 1UL << (signal - 1);
        var now = default(TimeSpec);
        return TimedWaitNative(128, &set, null, &now, KernelSetBytes) == signal;
    }

    /// <summary>Lets the calling thread run on these CPUs only.</summary>
    public static void SetAffinity(ReadOnlySpan<int> cpus)
    {
        var set = stackalloc ulong[MaxCpus / 64];
        new Span<ulong>(set, MaxCpus / 64).Clear();
        foreach (var cpu in cpus)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)cpu, (uint)MaxCpus, nameof(cpus));
            set[cpu / 64] |= 1UL << (cpu % 64);
        }
        if (AffinityNative(0, MaxCpus / 8, set) < 0)
            throw LinuxException.FromLastError("sched_setaffinity");
    }

    /// <summary>Names the calling thread, as ps shows it; the kernel keeps 15 bytes.</summary>
    public static void SetName(string name) => ControlNative(SetName_, name);

    [LibraryImport("libc", EntryPoint = "gettid")]
    private static partial int GetIdNative();

    [LibraryImport("libc", EntryPoint = "pthread_sigmask")]
    private static partial int MaskNative(int how, ulong* set, ulong* old);

    // The system call itself, because glibc's sigtimedwait refuses nothing we need but takes a 128-byte set.
    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint TimedWaitNative(nint number, ulong* set, void* info, TimeSpec* limit, nint setBytes);

    [LibraryImport("libc", EntryPoint = "sched_setaffinity", SetLastError = true)]
    private static partial int AffinityNative(int thread, nuint bytes, ulong* set);

    [LibraryImport("libc", EntryPoint = "prctl", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int ControlNative(int option, string name);

    [StructLayout(LayoutKind.Sequential)]
    private struct TimeSpec
    {
        public long Seconds;
        public long Nanoseconds;
    }
}

/// <summary>Signals to one thread of this process.</summary>
internal static partial class ThreadSignal
{
    /// <summary>Sends a signal to a thread of this process; false if the thread is gone.</summary>
    public static bool Send(int thread, int signal) => Native(Environment.ProcessId, thread, signal) == 0;

    [LibraryImport("libc", EntryPoint = "tgkill", SetLastError = true)]
    private static partial int Native(int process, int thread, int signal);
}
