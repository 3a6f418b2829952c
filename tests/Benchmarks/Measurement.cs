using System.Globalization;

namespace Exitless.Benchmarks;

/// <summary>What one run printed: sections of numbers.</summary>
internal sealed class Measurement
{
    private readonly Dictionary<string, Dictionary<string, long>> _sections = new(StringComparer.Ordinal);

    /// <summary>Why the guest never reached its marker; null: it did.</summary>
    public string? Failure { get; private set; }

    public static Measurement Failed(string why) => new() { Failure = why };

    public static Measurement Parse(string output)
    {
        var result = new Measurement();
        var section = "";
        foreach (var line in output.Split('\n'))
        {
            if (line.StartsWith("== ", StringComparison.Ordinal))
            {
                section = line[3..].Trim();
                result._sections[section] = new Dictionary<string, long>(StringComparer.Ordinal);
            }
            else if (section == "failed" && line.Length > 0)
            {
                result.Failure = line.Trim();
            }
            else if (line.Split(' ', StringSplitOptions.RemoveEmptyEntries) is [var key, var value] && long.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && section.Length > 0)
            {
                result._sections[section][key] = number;
            }
        }
        if (!result._sections.ContainsKey("marker"))
            result.Failure ??= "the guest's marker did not come";
        return result;
    }

    /// <summary>A figure; null where the run has none.</summary>
    public long? this[string section, string key] => _sections.TryGetValue(section, out var values) && values.TryGetValue(key, out var value) ? value : null;

    public IReadOnlyDictionary<string, long> Section(string name) => _sections.TryGetValue(name, out var values) ? values : new Dictionary<string, long>(StringComparer.Ordinal);

    /// <summary>Exits from power-on to the marker without those of a ticking host.</summary>
    public long? OwnExits => this["marker", "exits"] - this["marker", "irq_exits"] - this["marker", "halt_exits"];

    /// <summary>How far a counter went in the steady time.</summary>
    public long? Steady(string key) => this["after", key] - this["before", key];
}

/// <summary>One VMM's runs.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Missing">Why it did not run; null: it did.</param>
/// <param name="Plain">Without a device.</param>
/// <param name="Device">With a VF that pings.</param>
internal sealed record PeerResult(string Name, string? Missing, Measurement? Plain, Measurement? Device)
{
    public const string Ours = "Exitless", Q35 = "QEMU q35", Kvmtool = "kvmtool";
}
