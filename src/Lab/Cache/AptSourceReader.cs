namespace Exitless.Lab.Cache;

/// <summary>Reads the machine's apt sources in both of their formats (sources.list(5)), enabled binary sources only.</summary>
internal static class AptSourceReader
{
    /// <summary>All sources under an <c>etc/apt</c> folder.</summary>
    public static IReadOnlyList<AptSource> ReadAll(string folder)
    {
        var parts = Path.Combine(folder, "sources.list.d");
        string[] files = Directory.Exists(parts) ? [.. Directory.GetFiles(parts).Order(StringComparer.Ordinal)] : [];
        var main = Path.Combine(folder, "sources.list");
        return
        [
            .. File.Exists(main) ? ReadLines(File.ReadAllText(main)) : [],
            .. files.Where(f => f.EndsWith(".list", StringComparison.Ordinal)).SelectMany(f => ReadLines(File.ReadAllText(f))),
            .. files.Where(f => f.EndsWith(".sources", StringComparison.Ordinal)).SelectMany(f => ReadParagraphs(File.ReadAllText(f))),
        ];
    }

    /// <summary>The source that serves a release's main component itself, not its security or updates suite.</summary>
    public static AptSource FindMain(IEnumerable<AptSource> sources, string codename, IReadOnlyCollection<string> aliases)
        => sources.FirstOrDefault(s => s.Components.Contains("main", StringComparer.Ordinal)
                && !s.Uris.Any(u => u.StartsWith("cdrom:", StringComparison.Ordinal))
                && s.Suites.Any(suite => suite == codename || aliases.Contains(suite, StringComparer.Ordinal)))
            ?? throw new LabException($"No enabled apt source of this machine serves `{codename} main`.",
                "The lab takes QEMU and a kernel from Debian's own archive: add Debian's source for this release under /etc/apt, then try again.");

    /// <summary>The one-line format: <c>deb [option=value …] URI suite component …</c></summary>
    public static IEnumerable<AptSource> ReadLines(string text)
    {
        foreach (var raw in text.Split('\n'))
        {
            var line = raw.Split('#')[0].Trim();
            if (!line.StartsWith("deb ", StringComparison.Ordinal) && !line.StartsWith("deb\t", StringComparison.Ordinal))
                continue;
            line = line[3..].Trim();
            var options = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
            if (line.StartsWith('[') && line.IndexOf(']') is > 0 and var end)
            {
                foreach (var option in Words(line[1..end]))
                {
                    var pair = option.Split('=', 2);
                    if (pair.Length == 2)
                        options[FieldName(pair[0])] = pair[1].Replace(',', ' ');
                }
                line = line[(end + 1)..];
            }
            if (Words(line) is [var uri, var suite, .. var components])
                yield return new AptSource([uri], [suite], components, options);
        }
    }

    /// <summary>The deb822 format: paragraphs of fields.</summary>
    public static IEnumerable<AptSource> ReadParagraphs(string text)
    {
        foreach (var fields in Deb822.Read(text))
        {
            if (!Words(fields.GetValueOrDefault("Types", "")).Contains("deb", StringComparer.Ordinal)
                || fields.GetValueOrDefault("Enabled", "yes").Trim() is "no" or "false" or "0" or "off")
                continue;
            yield return new AptSource(
                Words(fields.GetValueOrDefault("URIs", "")), Words(fields.GetValueOrDefault("Suites", "")),
                Words(fields.GetValueOrDefault("Components", "")), fields);
        }
    }

    // The one-line format has lower-case names for the same fields: signed-by is Signed-By, check-valid-until is Check-Valid-Until.
    private static string FieldName(string option)
        => string.Join('-', option.Split('-').Select(word => word.Length == 0 ? word : char.ToUpperInvariant(word[0]) + word[1..]));

    private static string[] Words(string text) => text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
}
