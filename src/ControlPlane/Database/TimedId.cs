namespace Exitless.ControlPlane.Database;

/// <summary>Ids that begin with the time at which they were made: UUIDs of version 7, 48 bits of Unix milliseconds and then the version (RFC 9562 §5.7).</summary>
internal static class TimedId
{
    /// <summary>Not above any id made at or after a time: such ids are a range of a primary key.</summary>
    public static Guid First(DateTimeOffset at) => Guid.ParseExact($"{at.ToUnixTimeMilliseconds():x12}7000{0x8000:x4}{0:x12}", "N");

    /// <summary>When an id was made, to the millisecond; null: it does not say, being of another version.</summary>
    public static DateTimeOffset? MadeAt(Guid id)
    {
        if (id.Version != 7)
            return null;
        Span<byte> bytes = stackalloc byte[16];
        id.TryWriteBytes(bytes, bigEndian: true, out _);
        var milliseconds = 0L;
        foreach (var part in bytes[..6])
            milliseconds = milliseconds << 8 | part;
        return DateTimeOffset.FromUnixTimeMilliseconds(milliseconds);
    }
}
