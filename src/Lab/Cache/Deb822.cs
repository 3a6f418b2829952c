namespace Exitless.Lab.Cache;

/// <summary>Paragraphs of <c>Name: value</c> fields with continuation lines, as Debian's control files have them (deb822(5)).</summary>
internal static class Deb822
{
    /// <summary>Reads paragraphs; field names compare without case, continuation lines keep their own line and indent.</summary>
    public static IEnumerable<IReadOnlyDictionary<string, string>> Read(string text)
    {
        var fields = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        string? last = null;
        foreach (var raw in text.Split('\n'))
        {
            var line = raw.TrimEnd('\r');
            if (line.StartsWith('#'))
                continue;
            if (string.IsNullOrWhiteSpace(line))
            {
                if (fields.Count > 0)
                    yield return fields;
                fields = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
                last = null;
            }
            else if (line[0] is ' ' or '\t')
            {
                if (last is not null)
                    fields[last] += "\n" + line;
            }
            else if (line.IndexOf(':') is > 0 and var colon)
            {
                last = line[..colon];
                fields[last] = line[(colon + 1)..].Trim();
            }
        }
        if (fields.Count > 0)
            yield return fields;
    }
}
