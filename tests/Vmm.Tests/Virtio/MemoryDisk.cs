using Exitless.Linux;
using Exitless.Vmm.Disks;
using Exitless.Vmm.Virtio;

namespace Exitless.Vmm.Tests.Virtio;

/// <summary>A disk that is a piece of memory; it fails when told to.</summary>
internal sealed class MemoryDisk(int bytes) : IDisk
{
    private const int InputOutput = 5;

    public byte[] Content { get; } = new byte[bytes];

    public bool Fails { get; set; }

    public int Flushes { get; private set; }

    public long Bytes => Content.Length;

    public bool IsReadOnly { get; init; }

    public int Read(ReadOnlySpan<IoVector> to, long offset)
    {
        Stretches.Write(to, 0, Content.AsSpan((int)offset, Length(to)));
        return Result;
    }

    public int Write(ReadOnlySpan<IoVector> from, long offset)
    {
        Stretches.Read(from, 0, Content.AsSpan((int)offset, Length(from)));
        return Result;
    }

    public int Flush()
    {
        Flushes++;
        return Result;
    }

    public int Discard(long offset, long length) => Zero(offset, length, mayUnmap: true);

    public int Zero(long offset, long length, bool mayUnmap)
    {
        Content.AsSpan((int)offset, (int)length).Clear();
        return Result;
    }

    public void Dispose()
    {
    }

    private int Result => Fails ? InputOutput : 0;

    private static int Length(ReadOnlySpan<IoVector> vectors)
    {
        var length = 0;
        foreach (ref readonly var vector in vectors)
            length += (int)vector.Length;
        return length;
    }
}
