using System.Buffers.Binary;
using System.Text;
using Microsoft.AspNetCore.SignalR.Client;

namespace Exitless.Run.Stack;

/// <summary>A VM's serial console through the live hub, line by line, as the dashboard sees it.</summary>
public sealed class ConsoleReader : IAsyncDisposable
{
    private readonly HubConnection _hub;
    private readonly Guid _vm;
    private readonly Lock _gate = new();
    private readonly StringBuilder _text = new();
    private TaskCompletionSource _more = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource _end = new();
    private Task _reading = Task.CompletedTask;

    private ConsoleReader(HubConnection hub, Guid vm)
    {
        _hub = hub;
        _vm = vm;
    }

    /// <summary>All text so far.</summary>
    public string Text
    {
        get
        {
            lock (_gate)
                return _text.ToString();
        }
    }

    /// <summary>Attaches to the console from its oldest byte on.</summary>
    public static async Task<ConsoleReader> AttachAsync(RestClient rest, Guid vm, CancellationToken cancellation)
    {
        var reader = new ConsoleReader(await LiveConnection.OpenAsync(rest, cancellation), vm);
        reader._reading = reader.ReadAsync();
        return reader;
    }

    /// <summary>Types a line.</summary>
    public Task TypeAsync(string line, CancellationToken cancellation) =>
        _hub.InvokeAsync("WriteConsole", _vm, Encoding.UTF8.GetBytes(line + "\n"), cancellation);

    /// <summary>Waits for a whole line that <paramref name="wanted"/> accepts, among those after the first <paramref name="after"/> characters.</summary>
    /// <returns>The line.</returns>
    /// <exception cref="RunFailedException">It did not come in time; the message carries the console's end.</exception>
    public async Task<string> UntilAsync(Func<string, bool> wanted, TimeSpan limit, CancellationToken cancellation, int after = 0)
    {
        using var bound = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        bound.CancelAfter(limit);
        while (true)
        {
            Task more;
            string text;
            lock (_gate)
            {
                text = _text.ToString();
                more = _more.Task;
            }
            var lines = text[Math.Min(after, text.Length)..].Split('\n');
            if (lines[..^1].Select(line => line.TrimEnd('\r')).FirstOrDefault(wanted) is { } line)
                return line;
            try
            {
                await more.WaitAsync(bound.Token);
            }
            catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
            {
                throw new RunFailedException("console", $"the console did not show what was waited for within {limit.TotalSeconds:0} s; its end is:\n{text[Math.Max(0, text.Length - 3000)..]}");
            }
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync();
        await _reading.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await _hub.DisposeAsync();
        _end.Dispose();
    }

    private async Task ReadAsync()
    {
        var next = 0UL;
        await foreach (var frame in _hub.StreamAsync<byte[]>("AttachConsole", _vm, 0L, _end.Token))
        {
            var offset = BinaryPrimitives.ReadUInt64LittleEndian(frame);
            var data = frame.AsSpan(sizeof(ulong));
            // A stream that starts again after a lost link may repeat what is known.
            var known = offset < next ? (int)Math.Min((ulong)data.Length, next - offset) : 0;
            next = Math.Max(next, offset + (ulong)data.Length);
            lock (_gate)
            {
                _text.Append(Encoding.UTF8.GetString(data[known..]));
                _more.TrySetResult();
                _more = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            }
        }
    }
}
