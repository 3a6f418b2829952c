namespace Exitless.Agent.GuestCounts;

/// <summary>
/// What one guest says of its interrupts: cuts the bytes that come into reports, and keeps the newest and when it came. One thread adds, another reads. However much a guest sends, this holds one line of
/// <see cref="MostBytes"/> and two reports.
/// </summary>
internal sealed class GuestWord(TimeProvider time)
{
    /// <summary>A report that is as old says nothing any more.</summary>
    public const int FreshMilliseconds = 3000;

    /// <summary>A line is at most so long: there is room for a report of the most vectors.</summary>
    public const int MostBytes = 192 * 1024;

    private const int FirstRoom = 4096;
    private readonly Lock _gate = new();
    private byte[] _line = new byte[FirstRoom];
    private int _length;
    private GuestReport _newest = new(), _spare = new();
    private long _reports, _at;

    /// <summary>A new connection begins with a new line.</summary>
    public void Begin() => _length = 0;

    /// <summary>Takes bytes as they came.</summary>
    /// <returns>False: they are no reports, and nothing that follows them can be one.</returns>
    public bool TryAdd(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            var end = bytes.IndexOf((byte)'\n');
            if (!TryKeep(end < 0 ? bytes : bytes[..end]))
                return false;
            if (end < 0)
                break;
            if (!GuestReportLine.TryRead(_line.AsSpan(0, _length), _spare))
                return false;
            lock (_gate)
            {
                (_newest, _spare) = (_spare, _newest);
                _at = time.GetTimestamp();
                _reports++;
            }
            _length = 0;
            bytes = bytes[(end + 1)..];
        }
        return true;
    }

    /// <summary>Reads the newest report.</summary>
    /// <param name="keys">Vectors, see <see cref="GuestReport.KeyOf"/>.</param>
    /// <param name="counts">What each has counted; -1: the report does not have it, or there is none.</param>
    /// <returns>How many reports have come, and the age of the newest in milliseconds; -1: none has come.</returns>
    public (long Reports, long AgeMilliseconds) Read(ReadOnlySpan<ulong> keys, Span<long> counts)
    {
        lock (_gate)
        {
            for (var i = 0; i < keys.Length; i++)
                counts[i] = _newest.CountOf(keys[i]) ?? -1;
            return (_reports, _reports == 0 ? -1 : (long)time.GetElapsedTime(_at).TotalMilliseconds);
        }
    }

    private bool TryKeep(ReadOnlySpan<byte> part)
    {
        var length = _length + part.Length;
        if (length > MostBytes)
            return false;
        if (length > _line.Length)
            Array.Resize(ref _line, Math.Min(MostBytes, Math.Max(length, _line.Length * 2)));
        part.CopyTo(_line.AsSpan(_length));
        _length = length;
        return true;
    }
}
