using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.IO.Compression;
using System.Net.Sockets;
using System.Text;
using Exitless.Lab.Cache;

namespace Exitless.Lab.Machine;

/// <summary>
/// Runs commands in a host over its virtual consoles. There are several, so that commands of several callers, and of several
/// processes, run at once; one command holds one console. A command travels as base64; so does what it prints, packed.
/// </summary>
internal sealed class ControlShell(RunFolder folder, TimeProvider time)
{
    /// <summary>Number of consoles, hence of commands at once.</summary>
    public const int Slots = 4;

    // The kernel's terminal layer buffers 64 KiB; a longer line could lose its end.
    private const int LongestScript = 32 * 1024;
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(20);

    /// <summary>Waits for the shell's own word that it is there. Ends without a limit: the caller gives one.</summary>
    public async Task WaitUntilReadyAsync(CancellationToken cancel)
    {
        await using var slot = await ConnectAsync(0, cancel);
        while (await slot.Reader.ReadLineAsync(cancel) is { } line)
        {
            if (line.EndsWith("exitless-shell ready", StringComparison.Ordinal))
                return;
        }
        throw Gone();
    }

    /// <summary>Runs a script with <c>sh</c>. The host kills it at the limit.</summary>
    /// <exception cref="TimeoutException">It did not end within the limit; what it had printed is in the message.</exception>
    public async Task<LabShellResult> RunAsync(string script, TimeSpan limit, CancellationToken cancel)
    {
        var bytes = Encoding.UTF8.GetBytes(script);
        if (bytes.Length > LongestScript)
            throw new LabException($"The command has {bytes.Length} bytes; the control shell takes {LongestScript}.", "Put it into a file: --file HERE:/THERE, or the shared folder.");
        var seconds = Math.Max(1, (int)Math.Ceiling(limit.TotalSeconds));
        using var bounded = new CancellationTokenSource(TimeSpan.FromSeconds(seconds) + Grace, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(bounded.Token, cancel);
        var started = time.GetTimestamp();
        try
        {
            await using var slot = await TakeSlotAsync(either.Token);
            var id = Guid.CreateVersion7(time.GetUtcNow()).ToString("N");
            await slot.Stream.WriteAsync(Encoding.ASCII.GetBytes($"run {id} {seconds.ToString(CultureInfo.InvariantCulture)} {Convert.ToBase64String(bytes)}\n"), either.Token);
            var result = await ReadResultAsync(slot.Reader, id, either.Token);
            // 128 + SIGKILL.
            if (result.ExitCode == 137 && time.GetElapsedTime(started) >= TimeSpan.FromSeconds(seconds))
                throw TooLong(script, seconds, result.Output + result.Errors);
            return result;
        }
        catch (OperationCanceledException) when (bounded.IsCancellationRequested)
        {
            throw TooLong(script, seconds, "The host does not answer.");
        }
        catch (IOException)
        {
            throw Gone();
        }
        catch (SocketException)
        {
            throw Gone();
        }
    }

    /// <summary>Reads the frames of one command: begin with the exit code, output, errors, end.</summary>
    internal static async Task<LabShellResult> ReadResultAsync(TextReader reader, string id, CancellationToken cancel)
    {
        int? code = null;
        StringBuilder output = new(), errors = new();
        var current = output;
        while (await reader.ReadLineAsync(cancel) is { } line)
        {
            if (line == "exitless-end " + id && code is { } exit)
                return new LabShellResult(exit, Decode(output), Decode(errors));
            // Lines before the begin belong to a command whose caller has gone.
            if (line.StartsWith($"exitless-begin {id} ", StringComparison.Ordinal))
                code = int.Parse(line.AsSpan(line.LastIndexOf(' ') + 1), NumberStyles.None, CultureInfo.InvariantCulture);
            else if (line == "exitless-errors " + id)
                current = errors;
            else if (code is not null)
                current.Append(line.Trim());
        }
        throw Gone();
    }

    private async Task<Slot> TakeSlotAsync(CancellationToken cancel)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(50), time);
        do
        {
            for (var number = 0; number < Slots; number++)
            {
                if (FileLock.TryTake(folder.ShellLock(number)) is { } held)
                    return await ConnectAsync(number, cancel, held);
            }
        }
        while (await timer.WaitForNextTickAsync(cancel));
        throw new OperationCanceledException(cancel);
    }

    [SuppressMessage("Reliability", "CA2000:Dispose objects before losing scope", Justification = "The slot owns them.")]
    private async Task<Slot> ConnectAsync(int number, CancellationToken cancel, FileStream? held = null)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(folder.Shell(number)), cancel);
            var stream = new NetworkStream(socket, ownsSocket: true);
            return new Slot(stream, new StreamReader(stream, Encoding.ASCII), held);
        }
        catch
        {
            socket.Dispose();
            held?.Dispose();
            throw;
        }
    }

    private static string Decode(StringBuilder base64)
    {
        using var packed = new GZipStream(new MemoryStream(Convert.FromBase64String(base64.ToString())), CompressionMode.Decompress);
        using var reader = new StreamReader(packed, Encoding.UTF8);
        return reader.ReadToEnd();
    }

    private static LabException Gone() => new("The host ended before the command did.", "Read console.log and qemu.log in its run folder.");

    private static TimeoutException TooLong(string script, int seconds, string said)
        => new($"`{script}` did not end within {seconds} s. {said}");

    private sealed record Slot(NetworkStream Stream, StreamReader Reader, FileStream? Held) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync()
        {
            Reader.Dispose();
            await Stream.DisposeAsync();
            if (Held is not null)
                await Held.DisposeAsync();
        }
    }
}
