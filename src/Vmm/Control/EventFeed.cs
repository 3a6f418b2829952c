using System.Buffers.Binary;
using System.Text.Json;
using Exitless.Vmm.Devices;

namespace Exitless.Vmm.Control;

/// <summary>What happens in the VM, on its way to those who subscribed and to the console's log file. Each reader goes through the console's ring at its own pace.</summary>
internal sealed class EventFeed(ConsoleRing console, ControlConnections connections)
{
    private readonly byte[] _chunk = new byte[16 * 1024];
    private readonly Queue<VmmDeviceEvent> _events = new();
    private long _logOffset;

    /// <summary>Takes something that happened to a device, for everybody who subscribed or will; of very many the latest.</summary>
    public void Add(VmmDeviceEvent happened)
    {
        const int most = 256;
        _events.Enqueue(happened);
        if (_events.Count > most)
            _events.Dequeue();
    }

    /// <summary>The guest's latest new start; null if there was none.</summary>
    public VmRestart? LastRestart { get; set; }

    /// <summary>Makes a connection a subscriber.</summary>
    public void Subscribe(ControlConnection connection, Frame request, VmEnd? end)
    {
        connection.Subscription = request.RequestId;
        connection.ConsoleOffset = request.Payload.Length >= 8 ? Math.Max(0, BinaryPrimitives.ReadInt64LittleEndian(request.Payload.Span)) : 0;
        if (!connections.TrySend(connection, new Frame(FrameKind.Reply, request.RequestId)) || !TryPump(connection, end))
            connections.Drop(connection);
    }

    /// <summary>Gives everybody what they lack.</summary>
    public void PumpAll(ConsoleLog? log, VmEnd? end)
    {
        console.BeginRead();
        while (log is not null && _logOffset < console.End)
        {
            var count = console.Read(ref _logOffset, _chunk);
            log.Write(_chunk.AsSpan(0, count));
            _logOffset += count;
        }
        foreach (var connection in connections.All)
        {
            if (!TryPump(connection, end))
                connections.Drop(connection);
        }
    }

    /// <summary>Gives a subscriber what it lacks, as long as its socket takes it; the ring keeps the rest. False when the connection is lost.</summary>
    public bool TryPump(ControlConnection connection, VmEnd? end)
    {
        if (connection.Subscription is not { } request)
            return true;
        while (!connection.HasWaiting && !connection.ToldEnd)
        {
            var offset = connection.ConsoleOffset;
            var count = console.Read(ref offset, _chunk);
            if (_events.FirstOrDefault(e => e.Number > connection.ToldEvent) is { } happened)
            {
                connection.ToldEvent = happened.Number;
                if (!connections.TrySend(connection, new Frame(FrameKind.DeviceEvent, request, JsonSerializer.SerializeToUtf8Bytes(happened, ControlJson.Default.VmmDeviceEvent))))
                    return false;
            }
            else if (count > 0)
            {
                var payload = new byte[8 + count];
                BinaryPrimitives.WriteInt64LittleEndian(payload, offset);
                _chunk.AsSpan(0, count).CopyTo(payload.AsSpan(8));
                connection.ConsoleOffset = offset + count;
                if (!connections.TrySend(connection, new Frame(FrameKind.ConsoleOutput, request, payload)))
                    return false;
            }
            else if (LastRestart is { } restart && connection.ToldRestarts < restart.Count)
            {
                connection.ToldRestarts = restart.Count;
                if (!connections.TrySend(connection, new Frame(FrameKind.Restarted, request, JsonSerializer.SerializeToUtf8Bytes(restart, ControlJson.Default.VmRestart))))
                    return false;
            }
            else if (end is not null)
            {
                connection.ToldEnd = true;
                if (!connections.TrySend(connection, new Frame(FrameKind.Ended, request, JsonSerializer.SerializeToUtf8Bytes(end, ControlJson.Default.VmEnd))))
                    return false;
            }
            else
            {
                break;
            }
        }
        return true;
    }
}
