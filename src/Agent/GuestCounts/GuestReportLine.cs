using System.Buffers.Text;

namespace Exitless.Agent.GuestCounts;

/// <summary>
/// Reads one report: <c>exitless-interrupts 1</c>, then <c>dddd:bb:dd.f/vector=count</c> for each vector, with one space between words (docs/exit-less.md). Whatever a guest sends, nothing here throws
/// or allocates, but for the report's own room.
/// </summary>
internal static class GuestReportLine
{
    private const int AddressBytes = 12, MostVector = 2047;

    private static ReadOnlySpan<byte> Head => "exitless-interrupts 1"u8;

    /// <summary>Reads a line, without its end.</summary>
    /// <returns>False: it is no report; what is in <paramref name="report"/> then is of no use.</returns>
    public static bool TryRead(ReadOnlySpan<byte> line, GuestReport report)
    {
        report.Clear();
        if (!line.StartsWith(Head))
            return false;
        line = line[Head.Length..];
        while (!line.IsEmpty)
        {
            if (line[0] != ' ')
                return false;
            line = line[1..];
            if (!TryVector(ref line, out var key, out var count) || !report.TryAdd(key, count))
                return false;
        }
        return true;
    }

    private static bool TryVector(ref ReadOnlySpan<byte> text, out ulong key, out long count)
    {
        (key, count) = (0, 0);
        if (text.Length <= AddressBytes || text[4] != ':' || text[7] != ':' || text[10] != '.' || text[AddressBytes] != '/')
            return false;
        if (!TryHex(text[..4], out var domain) || !TryHex(text[5..7], out var bus) || !TryHex(text[8..10], out var device) || device > 31 || text[11] is < (byte)'0' or > (byte)'7')
            return false;
        var function = text[11] - '0';
        text = text[(AddressBytes + 1)..];
        if (!TryNumber(ref text, out var vector) || vector > MostVector || text.IsEmpty || text[0] != '=')
            return false;
        text = text[1..];
        if (!TryNumber(ref text, out count) || count >= GuestReport.MostCount)
            return false;
        key = GuestReport.KeyOf(domain, bus, device, function, (int)vector);
        return true;
    }

    private static bool TryHex(ReadOnlySpan<byte> text, out int value) => Utf8Parser.TryParse(text, out value, out var used, 'x') && used == text.Length;

    // Digits alone: a sign is none.
    private static bool TryNumber(ref ReadOnlySpan<byte> text, out long value)
    {
        value = 0;
        if (text.IsEmpty || !char.IsAsciiDigit((char)text[0]) || !Utf8Parser.TryParse(text, out value, out var used))
            return false;
        text = text[used..];
        return true;
    }
}
