using Exitless.Linux;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Virtio.Vsock;

/// <summary>A connection between a host program and a port of the guest's, with the credits of virtio 1.2, section 5.10.6.3. One thread at a time.</summary>
internal sealed class VsockConnection(int slot)
{
    /// <summary>What the guest may send before the host program has had any of it.</summary>
    public const int Room = 64 * 1024;

    // Made at its first use and kept: a guest that connects again and again makes no garbage.
    private ByteRing? _waiting;
    private uint _received;

    /// <summary>Its place in the device's table.</summary>
    public int Slot { get; } = slot;

    /// <summary>Tells the slot's connections apart, in what epoll reports.</summary>
    public uint Generation { get; private set; }

    /// <summary>Grows from one connection to the next: who has waited longest.</summary>
    public long Turn { get; private set; }

    public VsockState State { get; set; }

    public SafeFileHandle? Socket { get; private set; }

    public VsockLine Line { get; } = new();

    public uint GuestPort { get; set; }

    public uint HostPort { get; set; }

    public VsockWork Work { get; set; }

    /// <summary>True while it is in the device's line of those that have work.</summary>
    public bool IsQueued { get; set; }

    /// <summary>What epoll listens to for it; null: it is not registered.</summary>
    public EpollEvents? Interest { get; set; }

    /// <summary>Flags of a shutdown, as the guest gets them.</summary>
    public uint HostEnds { get; set; }

    /// <summary>Flags of a shutdown, as the guest has sent them.</summary>
    public uint GuestEnds { get; set; }

    /// <summary>True once both directions of the socket are closed; what it still holds can be read.</summary>
    public bool HungUp { get; set; }

    /// <summary>Bytes that the host program has not taken yet.</summary>
    public int Waiting => _waiting?.Count ?? 0;

    /// <summary>Bytes that the host program, or the device in its place, has taken; goes round.</summary>
    public uint Forwarded { get; private set; }

    /// <summary>As the guest was told last.</summary>
    public uint Told { get; set; }

    /// <summary>How many bytes the guest takes now. What a guest says of its room may be any numbers.</summary>
    public uint Credit
    {
        get
        {
            var underway = Sent - PeerForwarded;
            return underway < PeerRoom ? PeerRoom - underway : 0;
        }
    }

    /// <summary>Bytes that the guest was sent; goes round.</summary>
    public uint Sent { get; set; }

    private uint PeerRoom { get; set; }

    private uint PeerForwarded { get; set; }

    /// <summary>Begins with a host program that has connected.</summary>
    public void Begin(SafeFileHandle socket, long turn)
    {
        (Socket, Turn, State) = (socket, turn, VsockState.Asking);
        Generation++;
        Line.Clear();
        _waiting?.Clear();
        (GuestPort, HostPort, Work, Interest, HostEnds, GuestEnds, HungUp) = (0, 0, VsockWork.None, null, 0, 0, false);
        (_received, Forwarded, Told, Sent, PeerRoom, PeerForwarded) = (0, 0, 0, 0, 0, 0);
    }

    /// <summary>Closes the socket; the place is kept until the guest knows.</summary>
    public void Close()
    {
        Socket?.Dispose();
        Socket = null;
        Interest = null;
        _waiting?.Clear();
    }

    public void Learn(in VsockHeader header) => (PeerRoom, PeerForwarded) = (header.Room, header.Forwarded);

    /// <summary>Takes data of the guest's: straight to the socket, or behind what waits.</summary>
    /// <returns>False if the guest sends more than it was allowed to.</returns>
    public bool TryTake(DescriptorChain chain, int length, IoVector[] parts)
    {
        _received += (uint)length;
        if (_received - Forwarded > Room)
            return false;
        if ((HostEnds & VsockHeader.EndsReceiving) != 0)
        {
            // Nobody reads it any more; the guest has been told, or will be.
            Forwarded += (uint)length;
            return true;
        }
        nint sent = 0;
        if (Waiting == 0 && length > 0)
        {
            var count = Stretches.Cut(chain.Readable, VsockHeader.Bytes, (ulong)length, parts);
            sent = StreamSocket.TrySend(Socket!, parts.AsSpan(0, count), out var error);
            if (sent < 0 && error != Errno.Again)
            {
                Forwarded += (uint)length;
                EndReading();
                return true;
            }
            sent = Math.Max(sent, 0);
            Forwarded += (uint)sent;
        }
        return sent == length || (_waiting ??= new ByteRing(Room)).TryAdd(chain.Readable, VsockHeader.Bytes + (ulong)sent, length - (int)sent);
    }

    /// <summary>Sends what waits.</summary>
    public void Flush()
    {
        while (Waiting > 0)
        {
            var sent = _waiting!.TrySend(Socket!, out var error);
            if (sent > 0)
                Forwarded += (uint)sent;
            else if (sent == 0 || error == Errno.Again)
                return;
            else
                EndReading();
        }
    }

    /// <summary>The host program reads no more: what waits for it is lost, as with any socket, and the guest is told.</summary>
    public void EndReading()
    {
        Forwarded += (uint)Waiting;
        _waiting?.Clear();
        if ((HostEnds & VsockHeader.EndsReceiving) != 0)
            return;
        HostEnds |= VsockHeader.EndsReceiving;
        Work |= VsockWork.Shutdown;
    }
}
