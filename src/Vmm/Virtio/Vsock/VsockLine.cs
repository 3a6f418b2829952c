using System.Globalization;
using System.Runtime.InteropServices;
using Exitless.Linux;

namespace Exitless.Vmm.Virtio.Vsock;

/// <summary>
/// The line with which a host program says what it wants: <c>CONNECT 1024</c>, a port of the guest's, or <c>LISTEN 1024</c>, to be given the guest's next connection
/// to that port of the host's. It is read byte by byte, because what comes behind it is the guest's.
/// </summary>
internal sealed unsafe class VsockLine
{
    private const int MostBytes = 32;
    private readonly byte[] _bytes = new byte[MostBytes];
    private int _count;

    /// <summary>True: the guest's port is to be connected to. False: the host's is to be listened at.</summary>
    public bool Connects { get; private set; }

    /// <summary>The port that it names.</summary>
    public uint Port { get; private set; }

    public void Clear() => _count = 0;

    /// <summary>Reads on.</summary>
    /// <returns>True: a line is there. Null: not yet. False: it is none, or the other end has gone.</returns>
    public bool? Read(SafeHandle socket)
    {
        while (_count < MostBytes)
        {
            fixed (byte* place = &_bytes[_count])
            {
                var got = VectorIo.TryRead(socket, [new IoVector(place, 1)], out var error);
                if (got < 0 && error == Errno.Again)
                    return null;
                if (got <= 0)
                    return false;
            }
            if (_bytes[_count++] == (byte)'\n')
                return TryParse(_bytes.AsSpan(0, _count - 1));
        }
        return false;
    }

    /// <summary>Says that a connection is made: <c>OK</c> and the port of the other end.</summary>
    /// <returns>False if the other end has gone, or has no room for a line.</returns>
    public static bool TryAnswer(SafeHandle socket, uint port)
    {
        Span<byte> line = stackalloc byte[MostBytes];
        "OK "u8.CopyTo(line);
        if (!port.TryFormat(line[3..], out var digits, default, CultureInfo.InvariantCulture))
            return false;
        line[3 + digits] = (byte)'\n';
        fixed (byte* start = line)
            return StreamSocket.TrySend(socket, [new IoVector(start, (nuint)(digits + 4))], out _) == digits + 4;
    }

    private bool TryParse(ReadOnlySpan<byte> line)
    {
        if (line is [.., (byte)'\r'])
            line = line[..^1];
        Connects = line.StartsWith("CONNECT "u8);
        var word = Connects ? "CONNECT "u8 : "LISTEN "u8;
        if (!line.StartsWith(word) || !uint.TryParse(line[word.Length..], NumberStyles.None, CultureInfo.InvariantCulture, out var port))
            return false;
        Port = port;
        return true;
    }
}
