namespace Exitless.Simulator;

/// <summary>Numbers drawn from a seed: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014). The same seed gives the same numbers in every run and on every machine.</summary>
internal struct Draw(ulong seed)
{
    private ulong _state = seed;

    /// <summary>All 64 bits.</summary>
    public ulong Bits()
    {
        _state += 0x9E3779B97F4A7C15;
        var z = _state;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }

    /// <summary>From 0 to below 1.</summary>
    public double Unit() => (Bits() >> 11) * (1.0 / (1UL << 53));

    /// <summary>Between two bounds, each order of magnitude as likely as any other.</summary>
    public double Scale(double least, double most) => least * Math.Pow(most / least, Unit());
}
