using Exitless.Linux;

namespace Exitless.Vmm.Control;

/// <summary>One client of the control socket, as the control thread sees it: frames in, frames out, and how far its console subscription is.</summary>
internal sealed class ControlConnection : IDisposable
{
    /// <summary>A client that lets more answers than this pile up is cut off.</summary>
    private const int MaxWaiting = 4 << 20;

    private readonly UnixSocket _socket;
    private readonly FrameReader _reader;
    private readonly Queue<(byte[] Bytes, Frame Frame)> _waiting = new();
    private int _waitingBytes;
    private int _sentOfFirst;

    public ControlConnection(UnixSocket socket, ulong tag)
    {
        _socket = socket;
        _reader = new FrameReader(socket);
        Tag = tag;
    }

    public ulong Tag { get; }

    public UnixSocket Socket => _socket;

    /// <summary>The request that subscribed to events; null if none has.</summary>
    public uint? Subscription { get; set; }

    /// <summary>The offset of the next console byte that this client gets.</summary>
    public long ConsoleOffset { get; set; }

    /// <summary>The number of the last device event that this client got.</summary>
    public long ToldEvent { get; set; }

    /// <summary>Of how many new starts of the guest it has been told.</summary>
    public int ToldRestarts { get; set; }

    /// <summary>True once it has been told how the guest ended.</summary>
    public bool ToldEnd { get; set; }

    public bool HasWaiting => _waiting.Count > 0;

    /// <summary>Reads what has come. Null at the end of the connection.</summary>
    public List<Frame>? Receive()
    {
        var frames = new List<Frame>();
        try
        {
            while (_reader.Fill())
            {
                while (_reader.Take() is { } frame)
                    frames.Add(frame);
            }
        }
        catch (Exception e) when (e is IOException or InvalidDataException)
        {
            frames.ForEach(f => f.CloseDescriptors());
            return null;
        }
        return _reader.Closed && frames.Count == 0 ? null : frames;
    }

    /// <summary>Queues a frame and sends what fits. False when the connection is lost.</summary>
    public bool Send(Frame frame)
    {
        var bytes = frame.Encode();
        _waiting.Enqueue((bytes, frame));
        _waitingBytes += bytes.Length;
        return _waitingBytes <= MaxWaiting && Flush();
    }

    /// <summary>Sends what fits. False when the connection is lost.</summary>
    public bool Flush()
    {
        try
        {
            while (_waiting.TryPeek(out var first))
            {
                var sent = _socket.Send(first.Bytes.AsSpan(_sentOfFirst), _sentOfFirst == 0 ? first.Frame.Descriptors : []);
                if (sent == 0)
                    return true;
                _sentOfFirst += sent;
                if (_sentOfFirst < first.Bytes.Length)
                    continue;
                _sentOfFirst = 0;
                _waitingBytes -= first.Bytes.Length;
                _waiting.Dequeue();
            }
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }

    public void Dispose()
    {
        _socket.Dispose();
        _reader.Dispose();
    }
}
