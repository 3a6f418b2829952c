using Exitless.Linux;

namespace Exitless.Vmm.Disks;

/// <summary>A disk whose bytes are those of its file or block device.</summary>
internal sealed class RawDisk(DiskFile file, long bytes, bool isReadOnly) : IDisk
{
    public long Bytes => bytes;

    public bool IsReadOnly => isReadOnly;

    public int Read(ReadOnlySpan<IoVector> to, long offset) => file.Read(to, offset);

    public int Write(ReadOnlySpan<IoVector> from, long offset) => file.Write(from, offset);

    public int Flush() => file.Sync();

    public int Discard(long offset, long length) => file.Punch(offset, length);

    public int Zero(long offset, long length, bool mayUnmap) => file.Zero(offset, length, mayUnmap);

    public void Dispose() => file.Dispose();
}
