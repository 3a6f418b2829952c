namespace Exitless.Vmm.Devices;

/// <summary>
/// The last 256 KiB that the guest wrote to its console, each byte known by its offset in the whole output. The vCPU thread writes, the
/// control thread reads; writing allocates nothing and wakes the reader at most once for all that it has not yet seen.
/// </summary>
internal sealed class ConsoleRing(Action wake)
{
    public const int Capacity = 256 * 1024;

    private readonly byte[] _bytes = new byte[Capacity];
    private readonly Lock _gate = new();
    private long _end;
    private bool _readerKnows = true;

    /// <summary>The offset after the newest byte.</summary>
    public long End
    {
        get
        {
            lock (_gate)
                return _end;
        }
    }

    public void Write(byte value)
    {
        bool tell;
        lock (_gate)
        {
            _bytes[_end++ % Capacity] = value;
            tell = _readerKnows;
            _readerKnows = false;
        }
        if (tell)
            wake();
    }

    /// <summary>Writes bytes; of more than the ring holds, the last ones stay.</summary>
    public void Write(ReadOnlySpan<byte> data)
    {
        bool tell;
        lock (_gate)
        {
            var skipped = Math.Max(0, data.Length - Capacity);
            _end += skipped;
            for (data = data[skipped..]; data.Length > 0;)
            {
                var start = (int)(_end % Capacity);
                var piece = data[..Math.Min(data.Length, Capacity - start)];
                piece.CopyTo(_bytes.AsSpan(start));
                _end += piece.Length;
                data = data[piece.Length..];
            }
            tell = _readerKnows;
            _readerKnows = false;
        }
        if (tell)
            wake();
    }

    /// <summary>Copies bytes from an offset on, or from the oldest kept byte if that is newer.</summary>
    /// <returns>How many bytes were copied; <paramref name="offset"/> is then that of the first.</returns>
    public int Read(ref long offset, Span<byte> buffer)
    {
        lock (_gate)
        {
            offset = Math.Clamp(offset, Math.Max(0, _end - Capacity), _end);
            var count = (int)Math.Min(buffer.Length, _end - offset);
            var start = (int)(offset % Capacity);
            var first = Math.Min(count, Capacity - start);
            _bytes.AsSpan(start, first).CopyTo(buffer);
            _bytes.AsSpan(0, count - first).CopyTo(buffer[first..]);
            return count;
        }
    }

    /// <summary>The reader is about to look: the next byte after this wakes it again.</summary>
    /// <returns>True if there was something new.</returns>
    public bool BeginRead()
    {
        lock (_gate)
        {
            var news = !_readerKnows;
            _readerKnows = true;
            return news;
        }
    }
}
