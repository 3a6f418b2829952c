namespace Exitless.Vmm.Boot.FromDisk;

/// <summary>
/// Reads the menu out of a grub.cfg as grub-mkconfig writes it: the entries with their linux and initrd lines, and which is the default. It is
/// no interpreter: conditions and functions are passed over, and words with variables are left out of command lines.
/// </summary>
internal static class GrubConfig
{
    private const int MostEntries = 1000;

    /// <summary>The default entry; null if there is no entry with a kernel.</summary>
    /// <param name="text">grub.cfg.</param>
    /// <param name="saved">The entry that grubenv names; null: none.</param>
    /// <param name="source">Where the text is from.</param>
    public static BootEntry? Default(string text, string? saved, string source)
    {
        var entries = Entries(text, out var chosen, out var usesSaved);
        if (usesSaved && saved is { Length: > 0 })
            chosen = saved;
        entries.RemoveAll(e => e.Kernel.Length == 0);
        var entry = entries.Find(e => e.IsNamed(chosen)) ?? entries.FirstOrDefault();
        return entry is null ? null : new BootEntry(entry.Kernel, entry.Initrds, entry.Options, $"{source}, `{entry.Title}`");
    }

    /// <summary>The entry that grub-reboot or GRUB itself has saved in a grubenv.</summary>
    public static string? Saved(string environment) =>
        environment.Split('\n').FirstOrDefault(l => l.StartsWith("saved_entry=", StringComparison.Ordinal))?["saved_entry=".Length..].Trim();

    private static List<MenuEntry> Entries(string text, out string chosen, out bool usesSaved)
    {
        (chosen, usesSaved) = ("0", false);
        var all = new List<MenuEntry>();
        var counts = new Stack<int>([0]);
        var path = new Stack<(string Index, string Title, string Id)>();
        MenuEntry? open = null;
        foreach (var line in text.Split('\n'))
        {
            var words = Words(line);
            if (words.Count == 0)
                continue;
            if (words[0] == "set" && words.Count > 1 && words[1].StartsWith("default=", StringComparison.Ordinal))
            {
                var value = words[1]["default=".Length..];
                usesSaved |= value.Contains("saved_entry", StringComparison.Ordinal);
                if (!value.Contains('$'))
                    chosen = value;
            }
            else if (words[0] is "menuentry" or "submenu" && words.Count > 1 && all.Count < MostEntries)
            {
                var index = counts.Pop();
                counts.Push(index + 1);
                var (title, id) = (words[1], IdOf(words));
                if (words[0] == "submenu")
                {
                    path.Push(($"{index}", title, id));
                    counts.Push(0);
                }
                else
                {
                    open = new MenuEntry(title, [Join(path.Select(p => p.Index), $"{index}"), Join(path.Select(p => p.Title), title), Join(path.Select(p => p.Id), id), title, id]);
                    all.Add(open);
                }
            }
            else if (words[0] == "}")
            {
                if (open is not null)
                    open = null;
                else if (path.TryPop(out _))
                    counts.Pop();
            }
            else if (open is not null && words[0] is "linux" or "linux16" or "linuxefi" && open is { Kernel.Length: 0 } && words.Count > 1)
            {
                open.Kernel = words[1];
                open.Options = string.Join(' ', words.Skip(2).Where(w => !w.Contains('$')));
            }
            else if (open is not null && words[0] is "initrd" or "initrd16" or "initrdefi")
            {
                open?.Initrds.AddRange(words.Skip(1).Where(w => !w.Contains('$')));
            }
        }
        return all;
    }

    private static string Join(IEnumerable<string> outer, string inner) => string.Join('>', outer.Reverse().Append(inner));

    private static string IdOf(List<string> words)
    {
        var at = words.FindIndex(w => w is "--id" or "$menuentry_id_option" or "${menuentry_id_option}");
        return at >= 0 && at + 1 < words.Count ? words[at + 1] : "";
    }

    /// <summary>Splits a line as a shell does: quotes, backslashes, and comments at a word's beginning.</summary>
    private static List<string> Words(string line)
    {
        var words = new List<string>();
        var word = new System.Text.StringBuilder();
        var (inWord, quote) = (false, '\0');
        for (var i = 0; i < line.Length; i++)
        {
            var c = line[i];
            if (quote != '\0')
            {
                if (c == quote)
                    quote = '\0';
                else if (c == '\\' && quote == '"' && i + 1 < line.Length)
                    word.Append(line[++i]);
                else
                    word.Append(c);
            }
            else if (c is '\'' or '"')
            {
                (quote, inWord) = (c, true);
            }
            else if (c == '\\' && i + 1 < line.Length)
            {
                word.Append(line[++i]);
                inWord = true;
            }
            else if (char.IsWhiteSpace(c))
            {
                if (inWord)
                    words.Add(word.ToString());
                word.Clear();
                inWord = false;
            }
            else if (c == '#' && !inWord)
            {
                break;
            }
            else
            {
                word.Append(c);
                inWord = true;
            }
        }
        if (inWord)
            words.Add(word.ToString());
        return words;
    }

    private sealed class MenuEntry(string title, string[] names)
    {
        public string Title { get; } = title;

        public string Kernel { get; set; } = "";

        public string Options { get; set; } = "";

        public List<string> Initrds { get; } = [];

        public bool IsNamed(string name) => name.Length > 0 && names.Contains(name, StringComparer.Ordinal);
    }
}
