using System.Net.Sockets;
using System.Text.Json;

namespace Exitless.Lab.Machine;

/// <summary>QEMU's machine protocol (QEMU: docs/interop/qmp-spec): JSON objects, one a line, over a Unix socket.</summary>
internal sealed class QmpClient : IAsyncDisposable
{
    private readonly NetworkStream _stream;
    private readonly StreamReader _reader;

    private QmpClient(NetworkStream stream) => (_stream, _reader) = (stream, new StreamReader(stream));

    /// <summary>Connects and leaves negotiation mode.</summary>
    public static async Task<QmpClient> ConnectAsync(string path, CancellationToken cancel)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancel);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
        var client = new QmpClient(new NetworkStream(socket, ownsSocket: true));
        await client._reader.ReadLineAsync(cancel);
        await client.ExecuteAsync("qmp_capabilities", cancel);
        return client;
    }

    /// <summary>Executes a command without arguments; false when QEMU ended instead of answering.</summary>
    public async Task<bool> ExecuteAsync(string command, CancellationToken cancel)
    {
        await _stream.WriteAsync(JsonSerializer.SerializeToUtf8Bytes(new Dictionary<string, string>(StringComparer.Ordinal) { ["execute"] = command }, QmpJson.Default.DictionaryStringString), cancel);
        while (await _reader.ReadLineAsync(cancel) is { } line)
        {
            using var answer = JsonDocument.Parse(line);
            if (answer.RootElement.TryGetProperty("return", out _))
                return true;
            if (answer.RootElement.TryGetProperty("error", out var error))
                throw new LabException($"QEMU refused `{command}`: {error.GetProperty("desc").GetString()}.", "Look into qemu.log in the host's run folder.");
        }
        return false;
    }

    public async ValueTask DisposeAsync()
    {
        _reader.Dispose();
        await _stream.DisposeAsync();
    }
}

[System.Text.Json.Serialization.JsonSerializable(typeof(Dictionary<string, string>))]
internal sealed partial class QmpJson : System.Text.Json.Serialization.JsonSerializerContext;
