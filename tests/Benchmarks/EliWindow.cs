using System.Globalization;

namespace Exitless.Benchmarks;

/// <summary>What was counted between two moments of one VM.</summary>
internal sealed class EliWindow
{
    private readonly Dictionary<string, long> _values = new(StringComparer.Ordinal);

    public static EliWindow Parse(string output)
    {
        var window = new EliWindow();
        foreach (var line in output.Split('\n'))
        {
            if (line.Split(' ', StringSplitOptions.RemoveEmptyEntries) is [var key, var text] && long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var value))
                window._values[key] = value;
        }
        return window;
    }

    /// <summary>A count of the window itself.</summary>
    public long this[string key] => _values.GetValueOrDefault(key);

    /// <summary>How far a counter went.</summary>
    public long Rise(string counter) => _values.GetValueOrDefault("after." + counter) - _values.GetValueOrDefault("before." + counter);

    public long Exits => Rise("exits");

    /// <summary>Interrupts of the VF by the guest's own count.</summary>
    public long Interrupts => Rise("guestInterrupts");

    /// <summary>Of those, the ones that a CPU of the host saw.</summary>
    public long SeenByHost => Rise("hostInterrupts");

    public double Seconds => Rise("uptimeMs") / 1000.0;

    /// <summary>Share of the time that the vCPU was not in direct mode.</summary>
    public double OutsideDirect => 1 - Math.Min(1, Rise("eli_direct_ns") / 1e9 / Seconds);

    /// <summary>Share of the time that the kernel accounted to the guest, in its ticks of 10 ms.</summary>
    public double InGuest => Math.Min(1, Rise("guestTicks") / 100.0 / Seconds);

    /// <summary>Packets that were sent and that the guest's VF has not counted.</summary>
    public long Lost => Math.Max(0, this["sent"] - Rise("guestPackets"));

    public IReadOnlyDictionary<string, long> Reasons => _values.Where(v => v.Key.StartsWith("reason.", StringComparison.Ordinal)).ToDictionary(v => v.Key["reason.".Length..], v => v.Value, StringComparer.Ordinal);
}

/// <summary>A VM's quiet time and its time under load, one after the other.</summary>
internal sealed record EliPair(EliWindow Rest, EliWindow Load)
{
    /// <summary>(exits under load − exits at rest) / interrupts, the rest scaled to the load's time.</summary>
    public double Marginal => Load.Interrupts == 0 ? double.NaN : (Load.Exits - (Rest.Exits / Rest.Seconds * Load.Seconds)) / (Load.Interrupts - (Rest.Interrupts / Rest.Seconds * Load.Seconds));

    public double Total => Load.Interrupts == 0 ? double.NaN : Load.Exits / (double)Load.Interrupts;
}
