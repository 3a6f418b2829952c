using System.Globalization;

namespace Exitless.Lab.Cache;

/// <summary>
/// A Debian package version, ordered as Debian Policy 5.6.12 orders it: epoch by number, then upstream version and
/// revision, each by turns of non-digits (letters before everything else, a tilde before even the end) and of numbers.
/// </summary>
internal sealed record DebianVersion(string Text) : IComparable<DebianVersion>
{
    public int CompareTo(DebianVersion? other)
    {
        if (other is null)
            return 1;
        var (epoch, upstream, revision) = Split(Text);
        var (otherEpoch, otherUpstream, otherRevision) = Split(other.Text);
        var order = epoch.CompareTo(otherEpoch);
        if (order == 0)
            order = ComparePart(upstream, otherUpstream);
        return order != 0 ? order : ComparePart(revision, otherRevision);
    }

    public override string ToString() => Text;

    public static bool operator <(DebianVersion left, DebianVersion right) => left.CompareTo(right) < 0;
    public static bool operator >(DebianVersion left, DebianVersion right) => left.CompareTo(right) > 0;
    public static bool operator <=(DebianVersion left, DebianVersion right) => left.CompareTo(right) <= 0;
    public static bool operator >=(DebianVersion left, DebianVersion right) => left.CompareTo(right) >= 0;

    private static (long Epoch, string Upstream, string Revision) Split(string text)
    {
        var colon = text.IndexOf(':');
        var epoch = colon > 0 && long.TryParse(text.AsSpan(0, colon), NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : 0;
        var rest = colon > 0 ? text[(colon + 1)..] : text;
        var dash = rest.LastIndexOf('-');
        return dash < 0 ? (epoch, rest, "") : (epoch, rest[..dash], rest[(dash + 1)..]);
    }

    private static int ComparePart(string left, string right)
    {
        int i = 0, j = 0;
        while (i < left.Length || j < right.Length)
        {
            while ((i < left.Length && !char.IsAsciiDigit(left[i])) || (j < right.Length && !char.IsAsciiDigit(right[j])))
            {
                var order = Weight(left, i).CompareTo(Weight(right, j));
                if (order != 0)
                    return order;
                i++;
                j++;
            }
            var compared = Number(left, ref i).CompareTo(Number(right, ref j));
            if (compared != 0)
                return compared;
        }
        return 0;
    }

    // Past the end and at a digit a run of non-digits is over: it weighs nothing, and only a tilde weighs less.
    private static int Weight(string text, int at)
    {
        if (at >= text.Length || char.IsAsciiDigit(text[at]))
            return 0;
        var c = text[at];
        return c == '~' ? -1 : char.IsAsciiLetter(c) ? c : c + 256;
    }

    private static UInt128 Number(string text, ref int at)
    {
        UInt128 value = 0;
        for (; at < text.Length && char.IsAsciiDigit(text[at]); at++)
            value = value * 10 + (UInt128)(text[at] - '0');
        return value;
    }
}
