using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using Exitless.Linux;

namespace Exitless.Vmm.Control;

/// <summary>The clients that are connected: who they are, what waits to be sent to them, and when one is lost.</summary>
internal sealed class ControlConnections(Epoll epoll) : IDisposable
{
    /// <summary>Tags up to this one are the control server's own.</summary>
    public const ulong LastReservedTag = 16;

    private readonly Dictionary<ulong, ControlConnection> _connections = [];
    private ulong _lastTag = LastReservedTag;

    /// <summary>True while somebody has not taken all that was sent.</summary>
    public bool AnyWaiting => _connections.Values.Any(c => c.HasWaiting);

    /// <summary>Those of this moment; any may be dropped while the caller goes through them.</summary>
    public ControlConnection[] All => [.. _connections.Values];

    public bool TryGet(ulong tag, [NotNullWhen(true)] out ControlConnection? connection) => _connections.TryGetValue(tag, out connection);

    public ControlConnection Add(UnixSocket socket)
    {
        var connection = new ControlConnection(socket, ++_lastTag);
        _connections.Add(connection.Tag, connection);
        epoll.Add(socket.Handle, EpollEvents.Readable, connection.Tag);
        return connection;
    }

    /// <summary>Sends to a client that may have gone meanwhile; one that is lost now is dropped.</summary>
    public void Send(ControlConnection connection, Frame frame)
    {
        if (_connections.ContainsKey(connection.Tag) && !TrySend(connection, frame))
            Drop(connection);
    }

    public void Refuse(ControlConnection connection, uint request, VmmProblemException problem) =>
        Send(connection, new Frame(FrameKind.Problem, request, JsonSerializer.SerializeToUtf8Bytes(WireProblem.Of(problem), ControlJson.Default.WireProblem)));

    /// <summary>Queues a frame and sends what fits. False when the connection is lost; the caller drops it.</summary>
    public bool TrySend(ControlConnection connection, Frame frame)
    {
        if (!connection.Send(frame))
            return false;
        ListenFor(connection);
        return true;
    }

    /// <summary>Sends what waits, as far as it fits. False when the connection is lost; the caller drops it.</summary>
    public bool TryFlush(ControlConnection connection)
    {
        if (!connection.Flush())
            return false;
        ListenFor(connection);
        return true;
    }

    public void Drop(ControlConnection connection)
    {
        _connections.Remove(connection.Tag);
        epoll.Remove(connection.Socket.Handle);
        connection.Dispose();
    }

    public void Dispose()
    {
        foreach (var connection in _connections.Values)
            connection.Dispose();
    }

    private void ListenFor(ControlConnection connection) => epoll.Modify(
        connection.Socket.Handle, connection.HasWaiting ? EpollEvents.Readable | EpollEvents.Writable : EpollEvents.Readable, connection.Tag);
}
