using Exitless.Linux;

namespace Exitless.Vmm.Virtio;

/// <summary>Copies to and from, and cuts, memory that is scattered over stretches. Nothing here allocates or goes beyond what there is.</summary>
internal static unsafe class Stretches
{
    /// <summary>Copies bytes out of stretches.</summary>
    /// <returns>How many were copied: fewer than wanted where the stretches end.</returns>
    public static int Read(ReadOnlySpan<IoVector> from, ulong offset, Span<byte> to)
    {
        var done = 0;
        foreach (ref readonly var stretch in from)
        {
            if (offset >= stretch.Length)
            {
                offset -= stretch.Length;
                continue;
            }
            var take = (int)Math.Min(stretch.Length - offset, (ulong)(to.Length - done));
            new ReadOnlySpan<byte>(stretch.Start + offset, take).CopyTo(to[done..]);
            done += take;
            offset = 0;
            if (done == to.Length)
                break;
        }
        return done;
    }

    /// <summary>Copies bytes into stretches.</summary>
    /// <returns>How many were copied: fewer than given where the stretches end.</returns>
    public static int Write(ReadOnlySpan<IoVector> to, ulong offset, ReadOnlySpan<byte> from)
    {
        var done = 0;
        foreach (ref readonly var stretch in to)
        {
            if (offset >= stretch.Length)
            {
                offset -= stretch.Length;
                continue;
            }
            var take = (int)Math.Min(stretch.Length - offset, (ulong)(from.Length - done));
            from.Slice(done, take).CopyTo(new Span<byte>(stretch.Start + offset, take));
            done += take;
            offset = 0;
            if (done == from.Length)
                break;
        }
        return done;
    }

    /// <summary>Fills a part of stretches with zeros.</summary>
    public static void Clear(ReadOnlySpan<IoVector> to, ulong offset, ulong length)
    {
        foreach (ref readonly var stretch in to)
        {
            if (offset >= stretch.Length)
            {
                offset -= stretch.Length;
                continue;
            }
            var take = Math.Min(stretch.Length - offset, length);
            new Span<byte>(stretch.Start + offset, (int)take).Clear();
            length -= take;
            offset = 0;
            if (length == 0)
                break;
        }
    }

    /// <summary>Cuts a part out of stretches.</summary>
    /// <param name="source">The stretches.</param>
    /// <param name="offset">Where the part begins.</param>
    /// <param name="length">How long it is.</param>
    /// <param name="target">Room for as many stretches as the source has.</param>
    /// <returns>How many stretches the part has.</returns>
    public static int Cut(ReadOnlySpan<IoVector> source, ulong offset, ulong length, Span<IoVector> target)
    {
        var count = 0;
        foreach (ref readonly var stretch in source)
        {
            if (length == 0)
                break;
            if (offset >= stretch.Length)
            {
                offset -= stretch.Length;
                continue;
            }
            var take = Math.Min(stretch.Length - offset, length);
            target[count++] = new IoVector(stretch.Start + offset, (nuint)take);
            length -= take;
            offset = 0;
        }
        return count;
    }
}
