using Exitless.Linux;

namespace Exitless.Vmm.Disks;

/// <summary>
/// A disk as bytes, whatever its format. The caller keeps within <see cref="Bytes"/>; one thread at a time calls. Failures are error numbers, 0 on
/// success; nothing throws, and no call allocates.
/// </summary>
internal interface IDisk : IDisposable
{
    /// <summary>Its size; a multiple of 512.</summary>
    long Bytes { get; }

    bool IsReadOnly { get; }

    /// <summary>Fills the stretches from an offset on.</summary>
    int Read(ReadOnlySpan<IoVector> to, long offset);

    /// <summary>Writes the stretches from an offset on.</summary>
    int Write(ReadOnlySpan<IoVector> from, long offset);

    /// <summary>On return all that was written before survives a loss of power.</summary>
    int Flush();

    /// <summary>The guest has no use for a part any more: the space goes back to the host where that is possible.</summary>
    int Discard(long offset, long length);

    /// <summary>Makes a part read as zeros.</summary>
    /// <param name="offset">Where it begins.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="mayUnmap">True if its space may go back to the host.</param>
    int Zero(long offset, long length, bool mayUnmap);
}
