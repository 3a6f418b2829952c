namespace Exitless.Simulator;

/// <summary>
/// How busy a simulated VM is: one, on the whole, with two waves in it. Its integral is known at every time, so a counter's value needs no memory of the values
/// before it: rows of any time, those of the past too, are worked out when they are asked for.
/// </summary>
internal sealed class SimulatedLoad
{
    private readonly (double Share, double Period, double Phase)[] _waves;

    public SimulatedLoad(ref Draw draw)
    {
        _waves = [(0.55 * draw.Unit(), draw.Scale(60, 600), draw.Unit() * Math.Tau), (0.2 * draw.Unit(), draw.Scale(5, 20), draw.Unit() * Math.Tau)];
    }

    /// <summary>The integral of the load over the VM's first <paramref name="seconds"/>; never falls, since the waves together stay below 1.</summary>
    public double Until(double seconds)
    {
        var sum = seconds;
        foreach (var (share, period, phase) in _waves)
            sum += share * period / Math.Tau * (Math.Cos(phase) - Math.Cos(Math.Tau * seconds / period + phase));
        return sum;
    }
}
