using System.Globalization;

namespace Exitless.Benchmarks.Fleet;

/// <summary>What is measured.</summary>
/// <param name="Output">The report.</param>
/// <param name="Hosts">Simulated hosts, at least 1.</param>
/// <param name="Long">The full length instead of minutes.</param>
/// <param name="Rows">Which rows of the table are measured.</param>
internal sealed record FleetOptions(string Output, int Hosts, bool Long, IReadOnlySet<string> Rows)
{
    public const int VmsOfHost = 20, VfsOfVm = 2, VectorsOfVf = 4, MostWatchedHosts = 300;

    /// <summary>Rows of the table that this program can measure, as <c>--rows</c> names them; faults are made only when they are asked for.</summary>
    public static readonly string[] Known = ["watched", "faults", "held", "requests", "ingest"];

    public int Vms => Hosts * VmsOfHost;

    public int Vfs => Vms * VfsOfVm;

    /// <summary>Hosts whose VMs are all watched, and whose agents are killed.</summary>
    public int WatchedHosts => Math.Min(Hosts, MostWatchedHosts);

    public TimeSpan Window => Long ? TimeSpan.FromMinutes(10) : TimeSpan.FromMinutes(1);

    public TimeSpan Faults => Long ? TimeSpan.FromMinutes(30) : TimeSpan.FromMinutes(3);

    /// <summary>Whether the fleet has the size that the bars speak of. A smaller one can miss a bar and cannot show that it holds.</summary>
    public bool Whole => Hosts >= 5000;

    public bool Measures(string row) => Rows.Contains(row);

    /// <summary>Reads the arguments.</summary>
    /// <exception cref="ArgumentException">One is not known, or lacks its value.</exception>
    public static FleetOptions Parse(string[] arguments)
    {
        var options = new FleetOptions(Checkout.At("docs/benchmarks/fleet.md"), 5000, Long: false, Known.Where(row => row != "faults").ToHashSet(StringComparer.Ordinal));
        for (var i = 0; i < arguments.Length; i++)
        {
            var value = i + 1 < arguments.Length ? arguments[i + 1] : null;
            switch (arguments[i])
            {
                case "--long":
                    options = options with { Long = true };
                    break;
                case "--output" when value is not null:
                    (options, i) = (options with { Output = value }, i + 1);
                    break;
                case "--hosts" when int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var hosts) && hosts is > 0 and <= 5000:
                    (options, i) = (options with { Hosts = hosts }, i + 1);
                    break;
                case "--rows" when value is not null && value.Split(',').All(Known.Contains):
                    (options, i) = (options with { Rows = value.Split(',').ToHashSet(StringComparer.Ordinal) }, i + 1);
                    break;
                default:
                    throw new ArgumentException($"'{arguments[i]}' is not known, or lacks its value: --hosts 1 to 5000, --rows some of {string.Join(',', Known)}, --output FILE, --long.");
            }
        }
        return options;
    }
}
