namespace Exitless.Agent.GuestCounts;

/// <summary>What a guest said last of its interrupts: the count of each vector of each PCI function, as the guest addresses them.</summary>
internal sealed class GuestReport
{
    /// <summary>A report has at most so many vectors.</summary>
    public const int MostVectors = 4096;

    /// <summary>A count is below this: more no device interrupts in ten years, and sums and products of it still fit.</summary>
    public const long MostCount = 1L << 48;

    private const int FirstRoom = 64;
    private ulong[] _keys = new ulong[FirstRoom];
    private long[] _counts = new long[FirstRoom];

    /// <summary>How many vectors it has.</summary>
    public int Vectors { get; private set; }

    /// <summary>Takes a vector in.</summary>
    /// <returns>False if there are too many.</returns>
    public bool TryAdd(ulong key, long count)
    {
        if (Vectors == MostVectors)
            return false;
        if (Vectors == _keys.Length)
        {
            Array.Resize(ref _keys, _keys.Length * 2);
            Array.Resize(ref _counts, _counts.Length * 2);
        }
        (_keys[Vectors], _counts[Vectors++]) = (key, count);
        return true;
    }

    public void Clear() => Vectors = 0;

    /// <summary>What a vector has counted; null: the report does not have it.</summary>
    public long? CountOf(ulong key) => _keys.AsSpan(0, Vectors).IndexOf(key) is var at and >= 0 ? _counts[at] : null;

    /// <summary>A vector of a function: domain, bus, device and function, index.</summary>
    public static ulong KeyOf(int domain, int bus, int device, int function, int vector) =>
        (ulong)domain << 32 | (ulong)bus << 24 | (ulong)device << 19 | (ulong)function << 16 | (uint)vector;
}
