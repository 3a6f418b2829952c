using System.Net.Sockets;

namespace Exitless.Agent.GuestCounts;

/// <summary>
/// Waits at a VM's vsock for the guest's reporter, and hears it (docs/exit-less.md). A guest that sends too much is read more slowly, which the vsock lets it feel; one that sends no reports, or nothing for long, loses its
/// connection and may come again.
/// </summary>
/// <param name="path">The Unix socket of the VM's vsock.</param>
/// <param name="word">Where reports go.</param>
/// <param name="refused">Called, once, when the guest has sent what is no report.</param>
internal sealed class GuestListener(string path, GuestWord word, Action refused, TimeProvider time) : IDisposable
{
    /// <summary>The port of the host's that the reporter connects to.</summary>
    public const int Port = 7445;

    /// <summary>So many bytes a second are read of a guest: a report of the most vectors, and more.</summary>
    public const int MostBytesPerSecond = 256 * 1024;

    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1), LongestSilence = TimeSpan.FromSeconds(10);
    private readonly CancellationTokenSource _stop = new();
    private readonly byte[] _buffer = new byte[16 * 1024];
    private bool _refused;

    /// <summary>Hears until this is disposed or the VM's socket is gone.</summary>
    public async Task RunAsync()
    {
        // The source goes with the dispose that cancels it.
        var stop = _stop.Token;
        try
        {
            while (File.Exists(path))
            {
                if (!await HearAsync(stop))
                    Refuse();
                await Task.Delay(Second, time, stop);
            }
        }
        catch (OperationCanceledException)
        {
            // The VM has ended, or the agent ends.
        }
    }

    public void Dispose()
    {
        _stop.Cancel();
        _stop.Dispose();
    }

    /// <summary>One connection of the guest's.</summary>
    /// <returns>False: what it sent was no report.</returns>
    private async Task<bool> HearAsync(CancellationToken stop)
    {
        word.Begin();
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), stop);
            await socket.SendAsync(System.Text.Encoding.ASCII.GetBytes($"LISTEN {Port}\n"), stop);
            // The VMM answers when the guest has connected, with a line of its own; for that there is no limit.
            if (!await AnswerAsync(socket, stop))
                return true;
            var (begun, read) = (time.GetTimestamp(), 0);
            while (await ReceiveAsync(socket, stop) is > 0 and var count)
            {
                if (!word.TryAdd(_buffer.AsSpan(0, count)))
                    return false;
                read += count;
                var rest = Second - time.GetElapsedTime(begun);
                if (rest > TimeSpan.Zero && read < MostBytesPerSecond)
                    continue;
                if (rest > TimeSpan.Zero)
                    await Task.Delay(rest, time, stop);
                (begun, read) = (time.GetTimestamp(), 0);
            }
        }
        catch (SocketException)
        {
            // The VM's process has gone, or is not there yet.
        }
        return true;
    }

    // "OK 1024", byte by byte: what comes behind it is the guest's.
    private async Task<bool> AnswerAsync(Socket socket, CancellationToken stop)
    {
        const int MostAnswer = 32;
        for (var i = 0; i < MostAnswer; i++)
        {
            if (await socket.ReceiveAsync(_buffer.AsMemory(0, 1), stop) == 0)
                return false;
            if (_buffer[0] == '\n')
                return true;
        }
        return false;
    }

    // 0 at the end, and after too long a silence.
    private async Task<int> ReceiveAsync(Socket socket, CancellationToken stop)
    {
        using var limit = new CancellationTokenSource(LongestSilence, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, stop);
        try
        {
            return await socket.ReceiveAsync(_buffer, either.Token);
        }
        catch (OperationCanceledException) when (!stop.IsCancellationRequested)
        {
            return 0;
        }
    }

    private void Refuse()
    {
        if (!_refused)
            refused();
        _refused = true;
    }
}
