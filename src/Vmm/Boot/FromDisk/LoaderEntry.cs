using System.IO.Enumeration;

namespace Exitless.Vmm.Boot.FromDisk;

/// <summary>Entries of the Boot Loader Specification (type 1), as systemd-boot and Fedora's GRUB use them.</summary>
internal static class LoaderEntry
{
    /// <summary>Reads one entry; null if it names no kernel.</summary>
    public static BootEntry? Parse(string text, string source)
    {
        var (kernel, options, initrds) = ("", new List<string>(), new List<string>());
        foreach (var line in text.Split('\n'))
        {
            var trimmed = line.Trim();
            var space = trimmed.IndexOfAny([' ', '\t']);
            if (space < 0 || trimmed[0] == '#')
                continue;
            var value = trimmed[(space + 1)..].Trim();
            switch (trimmed[..space])
            {
                case "linux":
                    kernel = value;
                    break;
                case "initrd":
                    initrds.AddRange(value.Split(' ', StringSplitOptions.RemoveEmptyEntries).Where(w => !w.Contains('$')));
                    break;
                case "options":
                    options.AddRange(value.Split(' ', StringSplitOptions.RemoveEmptyEntries).Where(w => !w.Contains('$')));
                    break;
            }
        }
        return kernel.Length == 0 ? null : new BootEntry(kernel, initrds, string.Join(' ', options), source);
    }

    /// <summary>Orders the entries' file names as the loader's menu does, the default first: what loader.conf names, then the newest version.</summary>
    /// <param name="names">Names that end in .conf.</param>
    /// <param name="loaderConfig">loader.conf; null: none.</param>
    public static List<string> InOrder(IEnumerable<string> names, string? loaderConfig)
    {
        var pattern = loaderConfig?.Split('\n').Select(l => l.Trim()).LastOrDefault(l => l.StartsWith("default ", StringComparison.Ordinal))?["default ".Length..].Trim() ?? "";
        return
        [
            .. names.OrderByDescending(n => pattern.Length > 0 && (FileSystemName.MatchesSimpleExpression(pattern, n, ignoreCase: false) || n == pattern + ".conf"))
                .ThenByDescending(n => n, Comparer<string>.Create(CompareVersions)),
        ];
    }

    /// <summary>Numbers within names compare as numbers.</summary>
    private static int CompareVersions(string a, string b)
    {
        int i = 0, j = 0;
        while (i < a.Length && j < b.Length)
        {
            if (char.IsAsciiDigit(a[i]) && char.IsAsciiDigit(b[j]))
            {
                var (x, y) = (Digits(a, ref i), Digits(b, ref j));
                var order = x.Length != y.Length ? x.Length.CompareTo(y.Length) : string.CompareOrdinal(x, y);
                if (order != 0)
                    return order;
            }
            else if (a[i] != b[j])
            {
                return a[i].CompareTo(b[j]);
            }
            else
            {
                i++;
                j++;
            }
        }
        return (a.Length - i).CompareTo(b.Length - j);
    }

    private static string Digits(string text, ref int at)
    {
        var start = at;
        while (at < text.Length && char.IsAsciiDigit(text[at]))
            at++;
        return text[start..at].TrimStart('0');
    }
}
