namespace Exitless.Benchmarks.Fleet;

/// <summary>How long something took, in milliseconds, of many times.</summary>
internal sealed record Latencies(int Count, double Median, double P99, double Longest)
{
    /// <summary>Null when there are none.</summary>
    public static Latencies? Of(IEnumerable<double> milliseconds)
    {
        var sorted = milliseconds.Order().ToArray();
        return sorted.Length == 0 ? null : new Latencies(sorted.Length, At(sorted, 0.5), At(sorted, 0.99), sorted[^1]);
    }

    // Nearest rank: a value that was measured.
    private static double At(double[] sorted, double share) => sorted[Math.Max(0, (int)Math.Ceiling(share * sorted.Length) - 1)];
}
