using Exitless.Linux;
using Exitless.Vmm.Control;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Virtio.Vsock;

/// <summary>
/// Stream sockets between guest and host (virtio 1.2, section 5.10). A host program connects to a Unix socket and says in one line which port it means
/// (<see cref="VsockLine"/>); since it comes to the device for connections in both directions, the device opens and finds nothing by name. Data goes straight
/// between socket and guest memory; what a host program does not take at once waits in at most 64 KiB, and the guest sends no more than that.
/// </summary>
internal sealed class VirtioVsock : VirtioDevice
{
    private const int Receive = 0, Transmit = 1, Event = 2;
    private const int MostRefusals = 64, MostPackets = 64, MostAccepted = 16;
    private const ulong ListenerTag = VirtioWorker.FirstTag, StreamFeature = 1;
    private readonly uint _cid;
    private readonly SafeFileHandle _listener;
    private readonly VsockTable _table = new();
    private readonly Queue<(uint GuestPort, uint HostPort, ushort Type)> _refusals = new(MostRefusals);
    private readonly VsockPackets _packets;
    private Epoll? _epoll;
    private bool _stalled;

    /// <param name="cid">The guest's address.</param>
    /// <param name="listener">A Unix socket that listens; it goes over to the device.</param>
    public VirtioVsock(uint cid, SafeFileHandle listener)
        : base("vsock", type: 19, classCode: 0x078000, StreamFeature, queues: 3) => (_cid, _listener, _packets) = (cid, listener, new VsockPackets(cid));

    public override int ConfigurationBytes => sizeof(ulong);

    public override byte ReadConfiguration(int offset) => (byte)((ulong)_cid >> (8 * offset));

    /// <summary>Checks what needs no descriptor.</summary>
    /// <exception cref="VmmProblemException">vsock-cid-invalid.</exception>
    public static void Check(VsockConfig config)
    {
        if (config.Cid is < VsockConfig.FirstCid or > VsockConfig.LastCid)
        {
            throw new VmmProblemException("vsock-cid-invalid", "A guest's vsock address cannot be one.", $"It is {config.Cid}; 0 to 2 are the hypervisor's, loopback's and the host's, and addresses have 32 bits.",
                $"Choose a number from {VsockConfig.FirstCid} to {VsockConfig.LastCid}.", "vsock.cid");
        }
    }

    /// <summary>Checks a descriptor and makes the device.</summary>
    /// <exception cref="VmmProblemException">vsock-not-listening.</exception>
    public static VirtioVsock Open(VsockConfig config, SafeFileHandle listener)
    {
        if (!StreamSocket.IsUnixListener(listener))
        {
            throw new VmmProblemException("vsock-not-listening", "The descriptor of the guest's vsock is no listening socket.", "A Unix stream socket after listen() is wanted.",
                "Pass such a socket.", "vsock");
        }
        return new VirtioVsock((uint)config.Cid, listener);
    }

    public override void Listen(Epoll epoll)
    {
        _epoll = epoll;
        // Nobody is let in before the guest's driver is there; the kernel keeps them waiting.
        epoll.Add(_listener, EpollEvents.None, ListenerTag);
    }

    public override void Dispose()
    {
        base.Dispose();
        for (var i = 0; i < VsockTable.Most; i++)
            _table.At(i)?.Close();
        _listener.Dispose();
    }

    protected override void Started() => _epoll?.Modify(_listener, EpollEvents.Readable, ListenerTag);

    /// <summary>The driver has gone, and with it the guest's ends. Who listens goes on listening.</summary>
    protected override void Stopped()
    {
        _epoll?.Modify(_listener, EpollEvents.None, ListenerTag);
        for (var i = 0; i < VsockTable.Most; i++)
        {
            if (_table.At(i) is { State: not (VsockState.Free or VsockState.Listening) } connection)
                Free(connection);
        }
        _refusals.Clear();
        _stalled = false;
    }

    protected override void Notified(int queue)
    {
        // The third queue's buffers are for a move to another host, which does not happen.
        if (queue == Event)
            return;
        if (queue == Transmit)
            Drain(Transmit);
        Pump();
    }

    protected override void Ready(ulong tag, EpollEvents events)
    {
        if (tag == ListenerTag)
            Accept();
        else if (_table.At((int)(uint)(tag - ListenerTag - 1)) is { Socket: not null } connection && connection.Generation == (uint)(tag >> 32))
            Heard(connection, events);
        if (Running && !NeedsReset)
            Pump();
    }

    protected override bool Handle(int queue, SplitQueue requests)
    {
        var chain = requests.Chain;
        Span<byte> bytes = stackalloc byte[VsockHeader.Bytes];
        if (Stretches.Read(chain.Readable, 0, bytes) < VsockHeader.Bytes)
        {
            Fail();
            return true;
        }
        // A packet makes one refusal at most. 5.10.6.2: the guest's packets wait only when the device can keep no more answers.
        _stalled = _refusals.Count == MostRefusals;
        if (_stalled)
            return false;
        var header = VsockHeader.Read(bytes);
        if (header.Length > chain.ReadableBytes - VsockHeader.Bytes)
            Fail();
        else if (header.SourceCid == _cid && header.TargetCid == VsockPackets.HostCid)
            Handle(header, chain);
        requests.Give(0);
        return true;
    }

    private void Handle(in VsockHeader header, DescriptorChain chain)
    {
        var connection = header.Type == VsockHeader.Stream ? _table.Find(header.SourcePort, header.TargetPort) : null;
        if (connection is null)
        {
            if (header is not { Type: VsockHeader.Stream, Operation: VsockOperation.Request } || !TryConnect(header))
                Refuse(header);
            return;
        }
        if (connection.State == VsockState.Ended)
            return;
        connection.Learn(header);
        switch (header.Operation)
        {
            case VsockOperation.Response when connection.State == VsockState.Requested && VsockLine.TryAnswer(connection.Socket!, connection.HostPort):
                connection.State = VsockState.Open;
                break;
            case VsockOperation.Reset:
                Free(connection);
                return;
            case VsockOperation.Shutdown when connection.State == VsockState.Open:
                connection.GuestEnds |= header.Flags & (VsockHeader.EndsReceiving | VsockHeader.EndsSending);
                if ((connection.GuestEnds & VsockHeader.EndsReceiving) != 0)
                    StreamSocket.EndReceiving(connection.Socket!);
                break;
            case VsockOperation.Data when connection.State == VsockState.Open && (connection.GuestEnds & VsockHeader.EndsSending) == 0 && connection.TryTake(chain, (int)header.Length, _packets.Parts):
            case VsockOperation.CreditUpdate:
                break;
            case VsockOperation.CreditRequest:
                connection.Work |= VsockWork.CreditUpdate;
                break;
            default:
                End(connection);
                return;
        }
        Settle(connection);
    }

    // The guest's program connects: whoever has listened longest gets it.
    private bool TryConnect(in VsockHeader header)
    {
        while (_table.Listener(header.TargetPort) is { } connection)
        {
            if (!VsockLine.TryAnswer(connection.Socket!, header.SourcePort))
            {
                Free(connection);
                continue;
            }
            (connection.State, connection.GuestPort) = (VsockState.Open, header.SourcePort);
            connection.Learn(header);
            connection.Work |= VsockWork.Response;
            Settle(connection);
            return true;
        }
        return false;
    }

    private void Refuse(in VsockHeader header)
    {
        if (header.Operation != VsockOperation.Reset)
            _refusals.Enqueue((header.SourcePort, header.TargetPort, header.Type));
    }

    private void Accept()
    {
        for (var i = 0; i < MostAccepted && StreamSocket.TryAccept(_listener) is { } socket; i++)
        {
            if (_table.TryBegin(socket) is { } connection)
                ListenTo(connection, EpollEvents.Readable);
            else
                socket.Dispose();
        }
    }

    private void Heard(VsockConnection connection, EpollEvents events)
    {
        var gone = (events & (EpollEvents.HungUp | EpollEvents.Error)) != EpollEvents.None;
        switch (connection.State)
        {
            case VsockState.Asking:
                Ask(connection);
                break;
            case VsockState.Listening when gone:
                Free(connection);
                break;
            case VsockState.Requested when gone:
                End(connection);
                break;
            case VsockState.Open:
                if (gone)
                {
                    // It would be reported for ever. What it has sent can still be read.
                    connection.HungUp = true;
                    connection.EndReading();
                    _epoll?.Remove(connection.Socket!);
                    connection.Interest = null;
                }
                if (gone || (events & EpollEvents.Readable) != EpollEvents.None)
                    connection.Work |= VsockWork.Data;
                Settle(connection);
                break;
        }
    }

    private void Ask(VsockConnection connection)
    {
        var line = connection.Line;
        switch (line.Read(connection.Socket!))
        {
            case null:
                return;
            case true when !line.Connects:
                (connection.State, connection.HostPort) = (VsockState.Listening, line.Port);
                ListenTo(connection, EpollEvents.None);
                return;
            case true when Running && !NeedsReset:
                (connection.State, connection.GuestPort, connection.HostPort) = (VsockState.Requested, line.Port, _table.FreePort(line.Port));
                connection.Work |= VsockWork.Request;
                ListenTo(connection, EpollEvents.None);
                _table.Queue(connection);
                return;
            default:
                Free(connection);
                return;
        }
    }

    /// <summary>After anything that has happened to an open connection: sends on, ends what is at its end, and listens to what matters now.</summary>
    private void Settle(VsockConnection connection)
    {
        if (connection.State == VsockState.Open)
        {
            connection.Flush();
            if (connection.Waiting == 0 && connection.GuestEnds == (VsockHeader.EndsReceiving | VsockHeader.EndsSending))
            {
                End(connection);
                return;
            }
            if (connection.Waiting == 0 && (connection.GuestEnds & VsockHeader.EndsSending) != 0)
                StreamSocket.EndSending(connection.Socket!);
            if (connection.Forwarded - connection.Told >= VsockConnection.Room / 4)
                connection.Work |= VsockWork.CreditUpdate;
            Rearm(connection);
        }
        if (connection.Work != VsockWork.None)
            _table.Queue(connection);
    }

    private void Rearm(VsockConnection connection)
    {
        if (connection.State != VsockState.Open)
            return;
        var reads = (connection.Work & VsockWork.Data) == VsockWork.None && (connection.HostEnds & VsockHeader.EndsSending) == 0 && (connection.GuestEnds & VsockHeader.EndsReceiving) == 0;
        ListenTo(connection, (reads ? EpollEvents.Readable : EpollEvents.None) | (connection.Waiting > 0 ? EpollEvents.Writable : EpollEvents.None));
    }

    /// <summary>Closes a connection and tells the guest.</summary>
    private void End(VsockConnection connection)
    {
        Close(connection);
        (connection.State, connection.Work) = (VsockState.Ended, VsockWork.Reset);
        _table.Queue(connection);
    }

    private void Free(VsockConnection connection)
    {
        Close(connection);
        (connection.State, connection.Work) = (VsockState.Free, VsockWork.None);
    }

    // A socket that another process has a copy of, if only between fork and exec, would be reported for as long.
    private void Close(VsockConnection connection)
    {
        if (connection is { Interest: not null, Socket: { } socket })
            _epoll?.Remove(socket);
        connection.Close();
    }

    private void ListenTo(VsockConnection connection, EpollEvents events)
    {
        if (_epoll is null || connection.Interest == events || connection.HungUp)
            return;
        var tag = ListenerTag + 1 + (ulong)connection.Slot + ((ulong)connection.Generation << 32);
        if (connection.Interest is null)
            _epoll.Add(connection.Socket!, events, tag);
        else
            _epoll.Modify(connection.Socket!, events, tag);
        connection.Interest = events;
    }

    /// <summary>Tells the guest what there is to tell, as far as it has buffers.</summary>
    private void Pump()
    {
        var buffers = Queues[Receive];
        for (var left = MostPackets; _refusals.Count > 0 || _table.HasWork; left--)
        {
            if (left == 0)
            {
                // The others get their turn.
                Notices[Receive].Signal();
                break;
            }
            if (!buffers.TryTake())
            {
                if (buffers.Rearm())
                    continue;
                break;
            }
            if (buffers.Chain.WritableBytes < VsockHeader.Bytes)
            {
                Fail();
                break;
            }
            if (!TryFill(buffers))
            {
                buffers.PutBack();
                break;
            }
            if (!_stalled)
                continue;
            _stalled = false;
            Drain(Transmit);
        }
        Tell(Receive);
    }

    private bool TryFill(SplitQueue buffers)
    {
        if (_refusals.TryDequeue(out var refusal))
        {
            _packets.Put(buffers, new VsockHeader { SourcePort = refusal.HostPort, TargetPort = refusal.GuestPort, Type = refusal.Type, Operation = VsockOperation.Reset });
            return true;
        }
        while (_table.HasWork)
        {
            var connection = _table.Next();
            var told = _packets.TryTell(connection, buffers);
            if (connection is { State: VsockState.Ended, Work: VsockWork.None })
                Free(connection);
            else
                Rearm(connection);
            if (!told)
                continue;
            if (connection.Work != VsockWork.None)
                _table.Queue(connection);
            return true;
        }
        return false;
    }
}
