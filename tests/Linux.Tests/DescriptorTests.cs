using Microsoft.Win32.SafeHandles;

namespace Exitless.Linux.Tests;

public sealed class DescriptorTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("exitless").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_missing_file_is_named_with_the_kernels_reason()
    {
        var e = Assert.Throws<LinuxException>(() => Files.Open("/nowhere/kvm", OpenMode.ReadWrite));
        Assert.Equal(Errno.NoEntry, e.Errno);
        Assert.Equal("open /nowhere/kvm: No such file or directory (errno 2)", e.Message);
    }

    [Fact]
    public void An_eventfd_counts_until_it_is_taken()
    {
        using var fd = new EventFd();
        Assert.False(fd.IsSignalled);
        fd.Signal();
        fd.Signal();
        Assert.True(fd.IsSignalled);
        Assert.Equal(2UL, fd.Take());
        Assert.Equal(0UL, fd.Take());
    }

    [Fact]
    public async Task Readiness_completes_once_a_descriptor_can_be_read_and_can_be_cancelled()
    {
        using var fd = new EventFd();
        using var cancel = new CancellationTokenSource();
        var wait = Readiness.WaitReadableAsync(fd.Handle, cancel.Token);
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => wait);
        wait = Readiness.WaitReadableAsync(fd.Handle, CancellationToken.None);
        Assert.False(wait.IsCompleted);
        fd.Signal();
        await wait.WaitAsync(TimeSpan.FromSeconds(20), TimeProvider.System);
    }

    [Fact]
    public void Descriptors_cross_a_socket_with_the_first_byte()
    {
        var path = Path.Combine(_folder, "s");
        using var listener = UnixSocket.Listen(path);
        using var client = UnixSocket.Connect(path);
        using var server = listener.Accept();
        using var sent = new EventFd();
        Assert.Equal(3, client.Send([1, 2, 3], [sent.Handle, sent.Handle]));
        var received = new Queue<SafeFileHandle>();
        var buffer = new byte[16];
        Assert.Equal(3, server!.Receive(buffer, received));
        Assert.Equal(2, received.Count);
        Files.WriteAll(received.Peek(), [1, 0, 0, 0, 0, 0, 0, 0]);
        Assert.Equal(1UL, sent.Take());
        Assert.Equal(-1, server.Receive(buffer, received));
        client.Dispose();
        Assert.Equal(0, server.Receive(buffer, received));
        while (received.TryDequeue(out var one))
            one.Dispose();
    }

    [Fact]
    public unsafe void A_memory_file_is_shared_between_mappings_and_cannot_change_size()
    {
        using var file = MemoryFile.Create("test", 1 << 20);
        using var one = Mapping.Share(file, 0, 1 << 20);
        using var two = Mapping.Share(file, 4096, 4096);
        one.Pointer[4097] = 42;
        Assert.Equal(42, two.Pointer[1]);
        Assert.ThrowsAny<Exception>(() => RandomAccess.SetLength(file, 4096));
    }

    [Fact]
    public void A_blocked_signal_sent_to_a_thread_is_taken_by_it_once()
    {
        const int signal = 40;
        Exception? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                CurrentThread.BlockSignal(signal);
                Assert.NotEqual(0UL, CurrentThread.BlockSignal(signal) & (1UL << (signal - 1)));
                Assert.False(CurrentThread.TakeSignal(signal));
                Assert.True(ThreadSignal.Send(CurrentThread.Id, signal));
                Assert.True(CurrentThread.TakeSignal(signal));
                Assert.False(CurrentThread.TakeSignal(signal));
            }
            catch (Exception e)
            {
                failure = e;
            }
        });
        thread.Start();
        thread.Join();
        Assert.Null(failure);
    }
}
