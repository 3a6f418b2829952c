using Microsoft.Win32.SafeHandles;

namespace Exitless.Linux.Tracing;

/// <summary>
/// Reads the text of a <c>hist</c> file (Documentation/trace/histogram.rst), again and again: a line a key, as in
/// <c>{ common_pid:  412, isa:  2, exit_reason:  124 } hitcount:  9132</c>, and the totals. Reading allocates nothing once the buffer is large enough.
/// </summary>
/// <param name="histogram">The open file; this owns it.</param>
public sealed class HistogramReader(SafeFileHandle histogram) : IDisposable
{
    /// <summary>Fields of a key that the kernel allows (TRACING_MAP_KEYS_MAX).</summary>
    public const int MostFields = 3;

    private byte[] _text = new byte[16384];

    /// <summary>Takes one key of a histogram.</summary>
    /// <param name="key">The values of its fields, in the trigger's order.</param>
    /// <param name="count">How often it was hit.</param>
    public delegate void Take(ReadOnlySpan<long> key, long count);

    /// <summary>How many events found no place, because there are more keys than the trigger's size.</summary>
    public long Dropped { get; private set; }

    /// <summary>Reads all of it as it is now.</summary>
    /// <exception cref="LinuxException">The file cannot be read.</exception>
    public void Read(Take take)
    {
        var length = 0;
        while (Files.ReadAt(histogram, _text.AsSpan(length), length) is var count and > 0)
        {
            length += count;
            if (length == _text.Length)
                Array.Resize(ref _text, 2 * length);
        }
        Parse(_text.AsSpan(0, length), take);
    }

    /// <inheritdoc />
    public void Dispose() => histogram.Dispose();

    internal void Parse(ReadOnlySpan<byte> text, Take take)
    {
        Dropped = 0;
        Span<long> key = stackalloc long[MostFields];
        while (!text.IsEmpty)
        {
            var end = text.IndexOf((byte)'\n');
            var line = end < 0 ? text : text[..end];
            text = end < 0 ? default : text[(end + 1)..];
            if (line.StartsWith("{ "u8))
            {
                var close = line.IndexOf((byte)'}');
                var fields = 0;
                for (var rest = close < 0 ? default : line[..close]; fields < MostFields && Number(ref rest) is { } value; fields++)
                    key[fields] = value;
                var hits = close < 0 ? default : line[close..];
                if (fields > 0 && Number(ref hits) is { } count)
                    take(key[..fields], count);
            }
            else if (line.IndexOf("Dropped:"u8) >= 0)
            {
                Dropped += Number(ref line) ?? 0;
            }
        }
    }

    // The number behind the next colon.
    private static long? Number(ref ReadOnlySpan<byte> text)
    {
        var colon = text.IndexOf((byte)':');
        if (colon < 0)
            return null;
        text = text[(colon + 1)..].TrimStart((byte)' ');
        long value = 0;
        var digits = 0;
        for (; digits < text.Length && text[digits] is >= (byte)'0' and <= (byte)'9'; digits++)
            value = (value * 10) + text[digits] - '0';
        text = text[digits..];
        return digits > 0 ? value : null;
    }
}
