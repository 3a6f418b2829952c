using System.Buffers.Binary;
using System.Text.Json;
using Exitless.Linux;
using Exitless.Vmm.Devices;

namespace Exitless.Vmm.Control;

/// <summary>The control thread's loop: serves the control socket, moves console output, and takes the machine down when its guest has ended.</summary>
internal sealed class ControlServer : IDisposable
{
    private const ulong ListenTag = 1, WakeTag = 2;
    // Console bytes come one by one; within this time they are sent on together.
    private static readonly TimeSpan Gather = TimeSpan.FromMilliseconds(10);
    // The last answers of a VMM that was told to end; a client that does not take them in this time never will.
    private static readonly TimeSpan Farewell = TimeSpan.FromSeconds(2);

    private readonly string _path;
    private readonly MachineLauncher _launcher;
    private readonly TimeProvider _time;
    private readonly UnixSocket _listener;
    private readonly Epoll _epoll = new();
    private readonly EventFd _wake = new();
    private readonly ConsoleRing _console;
    private readonly Dictionary<ulong, ControlConnection> _connections = [];
    private readonly byte[] _chunk = new byte[16 * 1024];
    private readonly List<(ControlConnection Connection, uint Request)> _enders = [];
    private ConsoleLog? _log;
    private long _logOffset;
    private ulong _lastTag = 16;
    private long? _gatherSince;
    private long? _leaveBy;

    private VmConfig? _config;
    private IMachine? _machine;
    private VmEnd? _end;
    private long _startedAt;
    private Launch? _launch;
    private bool _endAsked;

    public ControlServer(string path, MachineLauncher launcher, TimeProvider time)
    {
        _path = path;
        _launcher = launcher;
        _time = time;
        _console = new ConsoleRing(_wake.Signal);
        _listener = UnixSocket.Listen(path);
        _epoll.Add(_listener.Handle, EpollEvents.Readable, ListenTag);
        _epoll.Add(_wake.Handle, EpollEvents.Readable, WakeTag);
    }

    private VmmState State => _machine is not null ? VmmState.Running : _end is not null ? VmmState.Ended : VmmState.Empty;

    /// <summary>Serves until told to end.</summary>
    public void Run()
    {
        Span<EpollEvent> reports = stackalloc EpollEvent[16];
        while (_leaveBy is null || (_connections.Values.Any(c => c.HasWaiting) && Remaining(_leaveBy.Value, Farewell) > 0))
        {
            var limit = _leaveBy is { } leave ? Remaining(leave, Farewell) : _gatherSince is { } since ? Remaining(since, Gather) : -1;
            var count = _epoll.Wait(reports, limit);
            foreach (ref readonly var report in reports[..count])
                Handle(report);
            if (_gatherSince is { } begun && Remaining(begun, Gather) == 0)
            {
                _gatherSince = null;
                _console.BeginRead();
                PumpAll();
            }
        }
    }

    /// <summary>Makes <see cref="Run"/> end the guest and leave, as if a client had asked.</summary>
    public void Stop()
    {
        Volatile.Write(ref _endAsked, true);
        _wake.Signal();
    }

    public void Dispose()
    {
        foreach (var connection in _connections.Values)
            connection.Dispose();
        _machine?.Dispose();
        _log?.Dispose();
        _listener.Dispose();
        _epoll.Dispose();
        _wake.Dispose();
        try
        {
            File.Delete(_path);
        }
        catch (IOException)
        {
            // The folder went first.
        }
    }

    private int Remaining(long since, TimeSpan limit) => (int)Math.Max(0, Math.Ceiling((limit - _time.GetElapsedTime(since)).TotalMilliseconds));

    private void Handle(EpollEvent report)
    {
        if (report.Tag == ListenTag)
        {
            while (_listener.Accept() is { } socket)
                Welcome(socket);
        }
        else if (report.Tag == WakeTag)
        {
            _wake.Take();
            _gatherSince ??= _time.GetTimestamp();
            FinishLaunch();
            FinishMachine();
            if (_endAsked && _leaveBy is null)
                End();
        }
        else if (_connections.TryGetValue(report.Tag, out var connection))
        {
            if ((report.Events & EpollEvents.Writable) != EpollEvents.None && !FlushAndPump(connection))
                Drop(connection);
            else if ((report.Events & ~EpollEvents.Writable) != EpollEvents.None)
                Serve(connection);
        }
    }

    private void Welcome(UnixSocket socket)
    {
        var connection = new ControlConnection(socket, ++_lastTag);
        _connections.Add(connection.Tag, connection);
        _epoll.Add(socket.Handle, EpollEvents.Readable, connection.Tag);
        var hello = new VmmHello
        {
            Protocol = VmmClient.Protocol,
            ProcessId = Environment.ProcessId,
            State = State,
            VmId = _config?.VmId ?? Guid.Empty,
            StartedAt = _startedAt,
            Config = _config,
            End = _end,
        };
        Send(connection, new Frame(FrameKind.Hello, 0, JsonSerializer.SerializeToUtf8Bytes(hello, ControlJson.Default.VmmHello)));
    }

    private void Serve(ControlConnection connection)
    {
        var frames = connection.Receive();
        if (frames is null)
        {
            Drop(connection);
            return;
        }
        foreach (var frame in frames)
        {
            try
            {
                Answer(connection, frame);
            }
            catch (VmmProblemException problem)
            {
                frame.CloseDescriptors();
                Refuse(connection, frame.RequestId, problem);
            }
            catch (Exception e) when (e is IOException or JsonException or ArgumentException)
            {
                frame.CloseDescriptors();
                Refuse(connection, frame.RequestId, new VmmProblemException("vmm-failed", "The VM's process could not do that.", e.Message, "See the log of the VM's process.", innerException: e));
            }
        }
    }

    private void Answer(ControlConnection connection, Frame frame)
    {
        if (frame.Kind != FrameKind.Launch && frame.Descriptors.Count > 0)
            throw new VmmProblemException("vmm-protocol", "Descriptors came with a request that takes none.", $"The request was {frame.Kind}.", "Update the agent.");
        switch (frame.Kind)
        {
            case FrameKind.Launch:
                BeginLaunch(connection, frame);
                break;
            case FrameKind.TakeStatistics:
                var machine = Running();
                Send(connection, new Frame(FrameKind.Reply, frame.RequestId, default, [machine.VmStatistics, .. machine.VcpuStatistics]));
                break;
            case FrameKind.PowerButton:
                Running().PressPowerButton();
                Send(connection, new Frame(FrameKind.Reply, frame.RequestId));
                break;
            case FrameKind.End:
                _enders.Add((connection, frame.RequestId));
                _endAsked = true;
                End();
                break;
            case FrameKind.WriteConsole:
                if (!Running().TryWriteConsole(frame.Payload.Span))
                {
                    throw new VmmProblemException("console-input-full", "The guest does not read its console.",
                        $"{frame.Payload.Length} more bytes would exceed the {SerialPort.InputCapacity} that wait already or may wait.", "Wait until the guest reads, or reset it.");
                }
                Send(connection, new Frame(FrameKind.Reply, frame.RequestId));
                break;
            case FrameKind.Subscribe:
                connection.Subscription = frame.RequestId;
                connection.ConsoleOffset = frame.Payload.Length >= 8 ? Math.Max(0, BinaryPrimitives.ReadInt64LittleEndian(frame.Payload.Span)) : 0;
                Send(connection, new Frame(FrameKind.Reply, frame.RequestId));
                if (!Pump(connection))
                    Drop(connection);
                break;
            case FrameKind.TakeVectors:
                Send(connection, new Frame(FrameKind.Reply, frame.RequestId, JsonSerializer.SerializeToUtf8Bytes(Running().TakeVectors(), ControlJson.Default.ListDeviceVectors)));
                break;
            default:
                throw new VmmProblemException("vmm-protocol", "The VM's process does not know this request.", $"It was number {(int)frame.Kind}.", "Restart the VM, so that it runs on the agent's version.");
        }
    }

    private IMachine Running() => _machine ?? throw new VmmProblemException(
        "vm-not-running", "The VM does not run.", _end is null ? "It has not been launched." : $"It ended: {_end.Text}", "Start the VM.");

    private void BeginLaunch(ControlConnection connection, Frame frame)
    {
        if (_launch is not null || State != VmmState.Empty)
            throw new VmmProblemException("vm-already-launched", "This process has its VM already.", $"Its state is {(_launch is null ? State : "Launching")}.", "Start another process for another VM.");
        var config = JsonSerializer.Deserialize(frame.Payload.Span, ControlJson.Default.VmConfig)!;
        var groups = config.Devices.Select(d => d.IommuGroup).Distinct().Count();
        var fixedCount = 2 + (config.HasInitrd ? 1 : 0) + (groups > 0 ? 1 : 0);
        if (frame.Descriptors.Count != fixedCount + groups)
            throw new VmmProblemException("vmm-protocol", "The launch has the wrong descriptors.", $"{frame.Descriptors.Count} came; {fixedCount + groups} were expected.", "Update the agent.");
        var descriptors = new VmmDescriptors
        {
            Kvm = frame.Descriptors[0],
            Kernel = frame.Descriptors[1],
            Initrd = config.HasInitrd ? frame.Descriptors[2] : null,
            VfioContainer = groups > 0 ? frame.Descriptors[fixedCount - 1] : null,
            Groups = [.. frame.Descriptors.Skip(fixedCount)],
        };
        var launch = new Launch(config, connection, frame.RequestId);
        _launch = launch;
        // Pinning much memory or resetting a device takes seconds; other clients are served meanwhile.
        var thread = new Thread(() => RunLaunch(launch, descriptors)) { IsBackground = true, Name = "launch" };
        thread.Start();
    }

    private void RunLaunch(Launch launch, VmmDescriptors descriptors)
    {
        try
        {
            if (launch.Config.ConsoleLogPath.Length > 0)
                launch.Log = new ConsoleLog(launch.Config.ConsoleLogPath);
            launch.Machine = _launcher(launch.Config, descriptors, _console, _wake.Signal);
        }
        catch (VmmProblemException problem)
        {
            launch.Problem = problem;
        }
        catch (Exception e)
        {
            // The launch is on a thread of its own: whatever went wrong must reach the client in words and not end the process.
            launch.Problem = new VmmProblemException("launch-failed", "The VM could not be launched.", e.Message, "Look up the failed call in the host's kernel log.", innerException: e);
        }
        if (launch.Problem is not null)
        {
            launch.Log?.Dispose();
            descriptors.Dispose();
        }
        Volatile.Write(ref launch.Done, true);
        _wake.Signal();
    }

    private void FinishLaunch()
    {
        if (_launch is not { } launch || !Volatile.Read(ref launch.Done))
            return;
        _launch = null;
        if (launch.Problem is { } problem)
        {
            Refuse(launch.Connection, launch.Request, problem);
            return;
        }
        _config = launch.Config;
        _machine = launch.Machine;
        _log = launch.Log;
        _startedAt = _time.GetUtcNow().ToUnixTimeMilliseconds();
        Send(launch.Connection, new Frame(FrameKind.Reply, launch.Request));
    }

    private void FinishMachine()
    {
        if (_machine?.Outcome is not { } outcome)
            return;
        // Everything is released before anybody hears of the end, so that "ended" means that the devices are free.
        _machine.Dispose();
        _machine = null;
        _end = new VmEnd(outcome.Reason, outcome.Text, _time.GetUtcNow().ToUnixTimeMilliseconds());
        _gatherSince = null;
        _console.BeginRead();
        PumpAll();
        _log?.Dispose();
        _log = null;
    }

    private void End()
    {
        if (_launch is not null)
            return;
        if (_machine is not null)
        {
            _machine.End();
            return;
        }
        foreach (var (connection, request) in _enders)
            Send(connection, new Frame(FrameKind.Reply, request));
        _enders.Clear();
        _leaveBy = _time.GetTimestamp();
    }

    private void PumpAll()
    {
        while (_log is not null && _logOffset < _console.End)
        {
            var count = _console.Read(ref _logOffset, _chunk);
            _log.Write(_chunk.AsSpan(0, count));
            _logOffset += count;
        }
        foreach (var connection in _connections.Values.ToArray())
        {
            if (!Pump(connection))
                Drop(connection);
        }
    }

    private bool FlushAndPump(ControlConnection connection)
    {
        if (!connection.Flush() || !Pump(connection))
            return false;
        ListenFor(connection);
        return true;
    }

    /// <summary>Gives a subscriber what it lacks, as long as its socket takes it; the ring keeps the rest. False when the connection is lost.</summary>
    private bool Pump(ControlConnection connection)
    {
        if (connection.Subscription is not { } request)
            return true;
        while (!connection.HasWaiting && !connection.ToldEnd)
        {
            var offset = connection.ConsoleOffset;
            var count = _console.Read(ref offset, _chunk);
            if (count > 0)
            {
                var payload = new byte[8 + count];
                BinaryPrimitives.WriteInt64LittleEndian(payload, offset);
                _chunk.AsSpan(0, count).CopyTo(payload.AsSpan(8));
                connection.ConsoleOffset = offset + count;
                if (!SendOrFail(connection, new Frame(FrameKind.ConsoleOutput, request, payload)))
                    return false;
            }
            else if (_end is not null)
            {
                connection.ToldEnd = true;
                if (!SendOrFail(connection, new Frame(FrameKind.Ended, request, JsonSerializer.SerializeToUtf8Bytes(_end, ControlJson.Default.VmEnd))))
                    return false;
            }
            else
            {
                break;
            }
        }
        return true;
    }

    private void Refuse(ControlConnection connection, uint request, VmmProblemException problem) =>
        Send(connection, new Frame(FrameKind.Problem, request, JsonSerializer.SerializeToUtf8Bytes(WireProblem.Of(problem), ControlJson.Default.WireProblem)));

    private void Send(ControlConnection connection, Frame frame)
    {
        if (_connections.ContainsKey(connection.Tag) && !SendOrFail(connection, frame))
            Drop(connection);
    }

    private bool SendOrFail(ControlConnection connection, Frame frame)
    {
        if (!connection.Send(frame))
            return false;
        ListenFor(connection);
        return true;
    }

    private void ListenFor(ControlConnection connection) => _epoll.Modify(
        connection.Socket.Handle, connection.HasWaiting ? EpollEvents.Readable | EpollEvents.Writable : EpollEvents.Readable, connection.Tag);

    private void Drop(ControlConnection connection)
    {
        _connections.Remove(connection.Tag);
        _epoll.Remove(connection.Socket.Handle);
        connection.Dispose();
    }

    private sealed class Launch(VmConfig config, ControlConnection connection, uint request)
    {
        public bool Done;

        public VmConfig Config { get; } = config;

        public ControlConnection Connection { get; } = connection;

        public uint Request { get; } = request;

        public IMachine? Machine { get; set; }

        public ConsoleLog? Log { get; set; }

        public VmmProblemException? Problem { get; set; }
    }
}
