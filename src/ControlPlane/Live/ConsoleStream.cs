using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Threading.Channels;

namespace Exitless.ControlPlane.Live;

/// <summary>The last 256 KiB of one VM's serial output while somebody reads it. Viewers read at their own pace; one that falls behind by more loses the middle.</summary>
internal sealed class ConsoleStream(Guid vmId, Guid hostId)
{
    /// <summary>The size of the VM process's own ring: all that an agent can send at once.</summary>
    public const int Capacity = 256 * 1024;

    private readonly Lock _lock = new();
    private readonly byte[] _ring = new byte[Capacity];
    private readonly List<ConsoleViewer> _viewers = [];
    private long _start;
    private long _end;
    private int _run;

    public Guid VmId { get; } = vmId;

    public Guid HostId { get; } = hostId;

    /// <summary>Offset of the first byte that has not come yet.</summary>
    public long End
    {
        get
        {
            lock (_lock)
                return _end;
        }
    }

    public int Viewers
    {
        get
        {
            lock (_lock)
                return _viewers.Count;
        }
    }

    public ConsoleViewer Join(long fromOffset, Action leave)
    {
        lock (_lock)
        {
            var viewer = new ConsoleViewer(this, Math.Max(0, fromOffset), _run, leave);
            _viewers.Add(viewer);
            return viewer;
        }
    }

    /// <summary>One viewer fewer; how many are left.</summary>
    public int Leave()
    {
        lock (_lock)
        {
            _viewers.RemoveAll(v => v.HasLeft);
            return _viewers.Count;
        }
    }

    public void Add(long offset, ReadOnlySpan<byte> data)
    {
        lock (_lock)
        {
            if (data.Length > Capacity)
            {
                offset += data.Length - Capacity;
                data = data[^Capacity..];
            }
            if (offset < _end)
            {
                // Only a new run of the VM begins its output again.
                _run++;
                _start = _end = offset;
            }
            else if (offset > _end)
            {
                _start = _end = offset;
            }
            foreach (var b in data)
                _ring[_end++ % Capacity] = b;
            _start = Math.Max(_start, _end - Capacity);
            foreach (var viewer in _viewers)
                viewer.Wake();
        }
    }

    /// <summary>What a viewer has not seen yet: u64 offset and bytes; null: nothing.</summary>
    public byte[]? Next(ref long position, ref int run)
    {
        lock (_lock)
        {
            if (run != _run)
                (run, position) = (_run, _start);
            position = Math.Max(position, _start);
            var length = (int)Math.Min(_end - position, ConsoleViewer.MostBytesInFrame);
            if (length <= 0)
                return null;
            var frame = new byte[sizeof(long) + length];
            BinaryPrimitives.WriteInt64LittleEndian(frame, position);
            for (var i = 0; i < length; i++)
                frame[sizeof(long) + i] = _ring[(position + i) % Capacity];
            position += length;
            return frame;
        }
    }
}

/// <summary>One who reads a console.</summary>
internal sealed class ConsoleViewer(ConsoleStream stream, long position, int run, Action leave) : IDisposable
{
    public const int MostBytesInFrame = 16 * 1024;

    private readonly Channel<bool> _wake = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });

    public bool HasLeft { get; private set; }

    public void Wake() => _wake.Writer.TryWrite(true);

    /// <summary>Frames for the browser: u64 offset, little-endian, and the bytes from there on. An offset that falls back begins a new run of the VM.</summary>
    public async IAsyncEnumerable<byte[]> FramesAsync([EnumeratorCancellation] CancellationToken ct)
    {
        var (at, of) = (position, run);
        Wake();
        await foreach (var _ in _wake.Reader.ReadAllAsync(ct))
        {
            while (stream.Next(ref at, ref of) is { } frame)
                yield return frame;
        }
    }

    public void Dispose()
    {
        if (HasLeft)
            return;
        HasLeft = true;
        _wake.Writer.TryComplete();
        leave();
    }
}
