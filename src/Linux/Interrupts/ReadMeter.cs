namespace Exitless.Linux.Interrupts;

/// <summary>How much was read from the kernel: what watching costs, independent of the machine's speed.</summary>
public sealed class ReadMeter
{
    /// <summary>Calls that read.</summary>
    public long Reads { get; private set; }

    /// <summary>Bytes that they gave.</summary>
    public long Bytes { get; private set; }

    internal int Count(int bytes)
    {
        Reads++;
        Bytes += Math.Max(0, bytes);
        return bytes;
    }
}
