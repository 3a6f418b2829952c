using System.Buffers.Binary;
using Exitless.Linux;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Control;

/// <summary>What a frame is. Numbers are part of the protocol: never reused.</summary>
internal enum FrameKind : ushort
{
    Hello = 1,
    Launch = 2,
    TakeStatistics = 3,
    PowerButton = 4,
    End = 5,
    WriteConsole = 6,
    Subscribe = 7,
    TakeVectors = 8,
    AttachDevices = 20,
    DetachDevice = 21,
    SwitchInterrupts = 22,
    Pause = 9,
    Resume = 10,
    TakeResources = 11,
    Look = 12,
    TrySandbox = 30,
    Reply = 64,
    Problem = 65,
    ConsoleOutput = 66,
    Ended = 67,
    DeviceEvent = 80,
    Restarted = 68,
}

/// <summary>
/// One message on the control socket: a header of 12 bytes, little-endian (u32 payload length, u16 kind, u16 number of descriptors,
/// u32 request id), then the payload. Descriptors travel with the header's first byte.
/// </summary>
internal sealed record Frame(FrameKind Kind, uint RequestId, ReadOnlyMemory<byte> Payload, IReadOnlyList<SafeFileHandle> Descriptors)
{
    public const int HeaderBytes = 12;

    /// <summary>Larger payloads are a protocol error.</summary>
    public const int MaxPayload = 1 << 20;

    public Frame(FrameKind kind, uint requestId, ReadOnlyMemory<byte> payload = default) : this(kind, requestId, payload, []) { }

    public byte[] Encode()
    {
        var bytes = new byte[HeaderBytes + Payload.Length];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, Payload.Length);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(4), (ushort)Kind);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(6), (ushort)Descriptors.Count);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(8), RequestId);
        Payload.CopyTo(bytes.AsMemory(HeaderBytes));
        return bytes;
    }

    public void CloseDescriptors()
    {
        foreach (var descriptor in Descriptors)
            descriptor.Dispose();
    }
}

/// <summary>Cuts the byte stream of a socket into frames.</summary>
internal sealed class FrameReader(UnixSocket socket) : IDisposable
{
    private readonly Queue<SafeFileHandle> _descriptors = new();
    private byte[] _buffer = new byte[4096];
    private int _filled;

    /// <summary>True once the other end has closed.</summary>
    public bool Closed { get; private set; }

    /// <summary>Takes in what the socket has.</summary>
    /// <returns>False when nothing waited.</returns>
    public bool Fill()
    {
        if (_filled == _buffer.Length)
            Array.Resize(ref _buffer, _buffer.Length * 2);
        var count = socket.Receive(_buffer.AsSpan(_filled), _descriptors);
        if (count == 0)
            Closed = true;
        _filled += Math.Max(count, 0);
        return count > 0;
    }

    /// <summary>The next whole frame, or null.</summary>
    /// <exception cref="InvalidDataException">The other end does not speak this protocol.</exception>
    public Frame? Take()
    {
        if (_filled < Frame.HeaderBytes)
            return null;
        var length = BinaryPrimitives.ReadUInt32LittleEndian(_buffer);
        if (length > Frame.MaxPayload)
            throw new InvalidDataException($"A frame of {length:#,0} bytes came; at most {Frame.MaxPayload:#,0} are allowed.");
        var whole = Frame.HeaderBytes + (int)length;
        if (_filled < whole)
            return null;
        var descriptors = new SafeFileHandle[BinaryPrimitives.ReadUInt16LittleEndian(_buffer.AsSpan(6))];
        if (descriptors.Length > _descriptors.Count)
            throw new InvalidDataException($"A frame announces {descriptors.Length} descriptors; {_descriptors.Count} came.");
        for (var i = 0; i < descriptors.Length; i++)
            descriptors[i] = _descriptors.Dequeue();
        var frame = new Frame(
            (FrameKind)BinaryPrimitives.ReadUInt16LittleEndian(_buffer.AsSpan(4)), BinaryPrimitives.ReadUInt32LittleEndian(_buffer.AsSpan(8)),
            _buffer.AsSpan(Frame.HeaderBytes, (int)length).ToArray(), descriptors);
        _buffer.AsSpan(whole, _filled - whole).CopyTo(_buffer);
        _filled -= whole;
        return frame;
    }

    public void Dispose()
    {
        foreach (var descriptor in _descriptors)
            descriptor.Dispose();
        _descriptors.Clear();
    }
}
