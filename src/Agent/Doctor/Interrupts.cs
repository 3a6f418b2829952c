using System.Globalization;
using System.Text;

namespace Exitless.Agent.Doctor;

/// <summary>The host's interrupts, from /proc/interrupts. Kept of it: numbers, chips, and who asked where that names no interface.</summary>
internal sealed class Interrupts
{
    public const string Path = "/proc/interrupts";
    private static readonly string[] KeptActions = ["vfio", "dmar", "AMD-Vi", "acpi"];
    private readonly List<string> _chips = [];

    public Interrupts(HostFiles files)
    {
        foreach (var line in (files.Text(Path, Reduce) ?? "").Split('\n').Skip(1))
        {
            var fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (fields.Length < 2 || !IsNumbered(fields[0]))
                continue;
            Requested++;
            if (fields.Skip(1).FirstOrDefault(f => !long.TryParse(f, NumberStyles.None, CultureInfo.InvariantCulture, out _)) is { } chip)
                _chips.Add(chip);
        }
    }

    /// <summary>Interrupts that a driver has requested.</summary>
    public int Requested { get; }

    /// <summary>A chip whose parent is an IOMMU (Intel's and AMD's prefix "IR-"), or null.</summary>
    public string? Remapped => _chips.Find(c => c.StartsWith("IR-", StringComparison.Ordinal));

    public string? AnyChip => _chips.Count > 0 ? _chips[0] : null;

    private static bool IsNumbered(string label) => label.Length > 1 && label[^1] == ':' && char.IsAsciiDigit(label[0]);

    // "  45:    0   1234  IR-PCI-MSIX-0000:18:00.0   3-edge   eth0-rx-0": from the third word after the counts on it says who asked, with interfaces' names.
    private static string Reduce(string text)
    {
        var kept = new StringBuilder();
        var cpus = 0;
        foreach (var line in text.Split('\n'))
        {
            if (cpus == 0)
            {
                cpus = line.Split(' ', StringSplitOptions.RemoveEmptyEntries).Length;
                kept.Append(line).Append('\n');
                continue;
            }
            var colon = line.IndexOf(':', StringComparison.Ordinal);
            if (colon < 0)
                continue;
            if (!IsNumbered(line[..(colon + 1)].TrimStart()))
            {
                kept.Append(line).Append('\n');
                continue;
            }
            var words = 0;
            var at = colon + 1;
            while (at < line.Length && words < cpus + 2)
            {
                while (at < line.Length && line[at] == ' ')
                    at++;
                while (at < line.Length && line[at] != ' ')
                    at++;
                words++;
            }
            kept.Append(line.AsSpan(0, at));
            var action = line[at..].Trim();
            if (KeptActions.Any(a => action.StartsWith(a, StringComparison.Ordinal)))
                kept.Append("   ").Append(action);
            kept.Append('\n');
        }
        return kept.ToString().TrimEnd('\n');
    }
}
