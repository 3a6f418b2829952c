using System.Runtime.InteropServices;
using Exitless.Linux;

namespace Exitless.Vmm.Virtio.Vsock;

/// <summary>Bytes that wait for a socket to take them; never more than its capacity.</summary>
internal sealed unsafe class ByteRing(int capacity)
{
    private readonly byte[] _bytes = new byte[capacity];
    private int _first;

    public int Count { get; private set; }

    public void Clear() => (_first, Count) = (0, 0);

    /// <summary>Adds a part of scattered memory.</summary>
    /// <returns>False if it does not fit; then nothing was added.</returns>
    public bool TryAdd(ReadOnlySpan<IoVector> from, ulong offset, int length)
    {
        if (length > _bytes.Length - Count)
            return false;
        while (length > 0)
        {
            var end = (_first + Count) % _bytes.Length;
            var piece = _bytes.AsSpan(end, Math.Min(length, _bytes.Length - end));
            var copied = Stretches.Read(from, offset, piece);
            if (copied == 0)
                return false;
            (Count, length) = (Count + copied, length - copied);
            offset += (ulong)copied;
        }
        return true;
    }

    /// <summary>Sends from its front.</summary>
    /// <returns>How many bytes went; -1 and the error number where the socket takes none.</returns>
    public nint TrySend(SafeHandle socket, out int error)
    {
        fixed (byte* start = &_bytes[_first])
        {
            var sent = StreamSocket.TrySend(socket, [new IoVector(start, (nuint)Math.Min(Count, _bytes.Length - _first))], out error);
            if (sent > 0)
                (_first, Count) = ((_first + (int)sent) % _bytes.Length, Count - (int)sent);
            return sent;
        }
    }
}
