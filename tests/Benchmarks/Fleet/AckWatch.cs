using Exitless.Simulator;

namespace Exitless.Benchmarks.Fleet;

/// <summary>Hears of every row that the control plane says is committed, and how old it was then.</summary>
internal sealed class AckWatch
{
    private const int BucketMs = 10, Buckets = 12_000;

    private readonly long[] _ages = new long[Buckets];
    private long _acks;

    /// <summary>How many have come.</summary>
    public long Acks => Interlocked.Read(ref _acks);

    public void Listen(SimulatedHost host) => host.OnAcknowledged = (_, through) =>
    {
        var age = TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds() - through;
        Interlocked.Increment(ref _ages[Math.Clamp(age / BucketMs, 0, Buckets - 1)]);
        Interlocked.Increment(ref _acks);
    };

    /// <summary>Forgets the ages.</summary>
    public void Restart() => Array.Clear(_ages);

    /// <summary>Age below which a share of the rows was when they were committed, seconds; null: none came.</summary>
    public double? Age(double share)
    {
        var total = _ages.Sum();
        if (total == 0)
            return null;
        var rest = (long)Math.Ceiling(total * share);
        for (var i = 0; i < Buckets; i++)
        {
            if ((rest -= _ages[i]) <= 0)
                return (i + 1) * BucketMs / 1000.0;
        }
        return Buckets * BucketMs / 1000.0;
    }
}
