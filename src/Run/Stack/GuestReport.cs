namespace Exitless.Run.Stack;

/// <summary>A line that the demo guest prints for machines: <c>exitless: word key=value ...</c>.</summary>
/// <param name="Word">What the line is about: <c>ready</c>, <c>ping</c>, <c>irq</c>.</param>
/// <param name="Values">Its counts by name.</param>
public sealed record GuestReport(string Word, IReadOnlyDictionary<string, long> Values)
{
    private const string Marker = "exitless: ";

    /// <summary>Reads a line of the console; null when it is none of the guest's reports.</summary>
    public static GuestReport? Parse(string line)
    {
        var at = line.IndexOf(Marker, StringComparison.Ordinal);
        if (at < 0)
            return null;
        var words = line[(at + Marker.Length)..].Split(' ', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        if (words.Length == 0)
            return null;
        var values = new Dictionary<string, long>(StringComparer.Ordinal);
        foreach (var pair in words.Select(word => word.Split('=')).Where(pair => pair.Length == 2))
        {
            if (long.TryParse(pair[1], out var value))
                values[pair[0]] = value;
        }
        return new GuestReport(words[0].Contains('=', StringComparison.Ordinal) ? "" : words[0], values);
    }
}
