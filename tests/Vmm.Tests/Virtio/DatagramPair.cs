using System.Runtime.InteropServices;
using Exitless.Linux;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Tests.Virtio;

/// <summary>Two Unix sockets that keep messages apart; the first one goes to a device.</summary>
internal sealed partial class DatagramPair : IDisposable
{
    private const int Unix = 1, SequencedPacket = 5, NonBlocking = 0x800, CloseOnExec = 0x80000;
    private readonly SafeFileHandle _second;
    private readonly byte[] _buffer = new byte[70_000];

    public DatagramPair()
    {
        Span<int> pair = stackalloc int[2];
        Assert.Equal(0, MakePair(Unix, SequencedPacket | NonBlocking | CloseOnExec, 0, ref pair[0]));
        First = new SafeFileHandle(pair[0], ownsHandle: true);
        _second = new SafeFileHandle(pair[1], ownsHandle: true);
    }

    public SafeFileHandle First { get; }

    public bool TryPut(byte[] message)
    {
        unsafe
        {
            fixed (byte* start = message)
                return VectorIo.TryWrite(_second, [new IoVector(start, (nuint)message.Length)], out _) == message.Length;
        }
    }

    public byte[]? TryTake()
    {
        unsafe
        {
            fixed (byte* start = _buffer)
            {
                var count = VectorIo.TryRead(_second, [new IoVector(start, (nuint)_buffer.Length)], out _);
                return count < 0 ? null : _buffer[..(int)count];
            }
        }
    }

    public void Dispose()
    {
        First.Dispose();
        _second.Dispose();
    }

    [LibraryImport("libc", EntryPoint = "socketpair", SetLastError = true)]
    private static partial int MakePair(int domain, int type, int protocol, ref int pair);
}
