using Exitless.Linux;
using Exitless.Vmm.Virtio;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Disks;

/// <summary>The file or block device below a disk: whole reads and writes, whatever the kernel does at a time. Beyond its end a file reads as zeros.</summary>
internal sealed unsafe class DiskFile : IDisposable
{
    private const int NotSupported = 95, NoSuchCall = 38;
    private const int ZeroBytes = 64 * 1024;

    private readonly SafeFileHandle _file;
    private readonly IoVector[] _rest = new IoVector[VectorIo.MostVectors];
    private byte* _zeros;

    /// <param name="file">The open file; it goes over to this.</param>
    public DiskFile(SafeFileHandle file)
    {
        _file = file;
        IsBlockDevice = FileKinds.Of(file) == FileKind.BlockDevice;
    }

    public bool IsBlockDevice { get; }

    /// <summary>Its size now.</summary>
    public long Size => Files.Size(_file);

    /// <summary>Fills the stretches; at most <see cref="VectorIo.MostVectors"/>.</summary>
    public int Read(ReadOnlySpan<IoVector> to, long offset)
    {
        for (ulong done = 0; ;)
        {
            var count = VectorIo.TryReadAt(_file, to, offset, out var error);
            if (count < 0)
                return error;
            if (count == 0)
            {
                Stretches.Clear(to, 0, ulong.MaxValue);
                return 0;
            }
            done = (ulong)count;
            offset += count;
            if (!Advance(ref to, done))
                return 0;
        }
    }

    /// <summary>Writes the stretches; at most <see cref="VectorIo.MostVectors"/>.</summary>
    public int Write(ReadOnlySpan<IoVector> from, long offset)
    {
        while (true)
        {
            var count = VectorIo.TryWriteAt(_file, from, offset, out var error);
            if (count <= 0)
                return count < 0 ? error : Errno.NoSpace;
            offset += count;
            if (!Advance(ref from, (ulong)count))
                return 0;
        }
    }

    /// <summary>Reads into a buffer.</summary>
    public int Read(Span<byte> to, long offset)
    {
        fixed (byte* start = to)
        {
            var vector = new IoVector(start, (nuint)to.Length);
            return Read(new ReadOnlySpan<IoVector>(ref vector), offset);
        }
    }

    /// <summary>Writes a buffer.</summary>
    public int Write(ReadOnlySpan<byte> from, long offset)
    {
        fixed (byte* start = from)
        {
            var vector = new IoVector(start, (nuint)from.Length);
            return Write(new ReadOnlySpan<IoVector>(ref vector), offset);
        }
    }

    public int Sync() => Storage.TrySync(_file);

    /// <summary>Gives space back; that a file system cannot is no failure.</summary>
    public int Punch(long offset, long length)
    {
        var error = Storage.TryPunch(_file, offset, length, IsBlockDevice);
        return error is NotSupported or NoSuchCall or Errno.Invalid ? 0 : error;
    }

    /// <summary>Makes a part read as zeros, by whatever means there are.</summary>
    public int Zero(long offset, long length, bool mayUnmap)
    {
        // A discarded block of a block device may read as anything, so only a file may be punched for zeros.
        if (mayUnmap && !IsBlockDevice && Storage.TryPunch(_file, offset, length, isBlockDevice: false) == 0)
            return 0;
        if (Storage.TryZero(_file, offset, length, IsBlockDevice) == 0)
            return 0;
        if (_zeros is null)
            _zeros = (byte*)System.Runtime.InteropServices.NativeMemory.AllocZeroed(ZeroBytes);
        while (length > 0)
        {
            var take = (int)Math.Min(length, ZeroBytes);
            if (Write(new ReadOnlySpan<byte>(_zeros, take), offset) is var error and not 0)
                return error;
            offset += take;
            length -= take;
        }
        return 0;
    }

    public void Dispose()
    {
        _file.Dispose();
        System.Runtime.InteropServices.NativeMemory.Free(_zeros);
        _zeros = null;
    }

    /// <returns>False if nothing is left.</returns>
    private bool Advance(ref ReadOnlySpan<IoVector> vectors, ulong done)
    {
        ulong total = 0;
        foreach (ref readonly var vector in vectors)
            total += vector.Length;
        if (done >= total)
            return false;
        // Forward copying: the rest may be cut out of the array that it already is in.
        var count = Stretches.Cut(vectors, done, total - done, _rest);
        vectors = _rest.AsSpan(0, count);
        return true;
    }
}
