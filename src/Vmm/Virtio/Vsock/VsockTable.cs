using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Virtio.Vsock;

/// <summary>The connections of a device, by their places and by their ports, and in what order they get their turn to tell the guest something.</summary>
internal sealed class VsockTable
{
    /// <summary>How many host programs may be connected, or wait for the guest to connect.</summary>
    public const int Most = 128;

    private readonly VsockConnection?[] _slots = new VsockConnection?[Most];
    private readonly int[] _line = new int[Most];
    private int _first, _count;
    private long _turns;
    private uint _lastPort = FirstPort - 1;

    // Above what programs listen at; the guest sees it as the port of the host's end.
    private const uint FirstPort = 1u << 30;

    /// <summary>True while somebody has something to tell the guest.</summary>
    public bool HasWork => _count > 0;

    public VsockConnection? At(int slot) => (uint)slot < Most ? _slots[slot] : null;

    /// <summary>A place for a host program; null if there is none.</summary>
    public VsockConnection? TryBegin(SafeFileHandle socket)
    {
        for (var i = 0; i < Most; i++)
        {
            var connection = _slots[i] ??= new VsockConnection(i);
            if (connection.State != VsockState.Free)
                continue;
            connection.Begin(socket, ++_turns);
            return connection;
        }
        return null;
    }

    /// <summary>The connection between two ports.</summary>
    public VsockConnection? Find(uint guestPort, uint hostPort)
    {
        foreach (var connection in _slots)
        {
            if (connection is { State: VsockState.Requested or VsockState.Open or VsockState.Ended } && connection.GuestPort == guestPort && connection.HostPort == hostPort)
                return connection;
        }
        return null;
    }

    /// <summary>Who has waited longest for the guest to connect to a port of the host's.</summary>
    public VsockConnection? Listener(uint hostPort)
    {
        VsockConnection? first = null;
        foreach (var connection in _slots)
        {
            if (connection is { State: VsockState.Listening } && connection.HostPort == hostPort && (first is null || connection.Turn < first.Turn))
                first = connection;
        }
        return first;
    }

    /// <summary>A port of the host's that no connection with this port of the guest's has.</summary>
    public uint FreePort(uint guestPort)
    {
        do _lastPort = _lastPort == uint.MaxValue ? FirstPort : _lastPort + 1;
        while (Find(guestPort, _lastPort) is not null);
        return _lastPort;
    }

    /// <summary>Puts a connection at the end of the line, if it is not in it.</summary>
    public void Queue(VsockConnection connection)
    {
        if (connection.IsQueued)
            return;
        connection.IsQueued = true;
        _line[(_first + _count++) % Most] = connection.Slot;
    }

    /// <summary>Takes the first one out of the line.</summary>
    public VsockConnection Next()
    {
        var connection = _slots[_line[_first]]!;
        (_first, _count) = ((_first + 1) % Most, _count - 1);
        connection.IsQueued = false;
        return connection;
    }
}
