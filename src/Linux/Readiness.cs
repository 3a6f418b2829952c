using System.Runtime.InteropServices;

namespace Exitless.Linux;

/// <summary>Turns "this descriptor can be read" into a task: one thread and one epoll for the whole process, whatever the number of descriptors.</summary>
internal static class Readiness
{
    private static readonly Epoll Loop = new();
    private static readonly Dictionary<ulong, TaskCompletionSource> Waiters = [];
    private static readonly Lock Gate = new();
    private static ulong NextTag;

    static Readiness() => new Thread(Run) { IsBackground = true, Name = "readiness" }.Start();

    /// <summary>Completes when the descriptor can be read, has ended or has failed. One waiter a descriptor at a time.</summary>
    public static async Task WaitReadableAsync(SafeHandle file, CancellationToken cancellationToken)
    {
        var waiter = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        ulong tag;
        lock (Gate)
        {
            tag = ++NextTag;
            Waiters.Add(tag, waiter);
        }
        try
        {
            Loop.Add(file, EpollEvents.Readable | EpollEvents.OneShot, tag);
            await using (cancellationToken.Register(() => waiter.TrySetCanceled(cancellationToken)))
                await waiter.Task;
        }
        finally
        {
            lock (Gate)
                Waiters.Remove(tag);
            try
            {
                Loop.Remove(file);
            }
            catch (ObjectDisposedException)
            {
                // Closed while it was waited for: the kernel has forgotten it.
            }
        }
    }

    private static void Run()
    {
        Span<EpollEvent> reports = stackalloc EpollEvent[32];
        while (true)
        {
            var count = Loop.Wait(reports, -1);
            foreach (ref readonly var report in reports[..count])
            {
                TaskCompletionSource? waiter;
                lock (Gate)
                    Waiters.Remove(report.Tag, out waiter);
                waiter?.TrySetResult();
            }
        }
    }
}
