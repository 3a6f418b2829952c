using System.Text.Json;
using Exitless.Linux;
using Exitless.Vmm.Devices;

namespace Exitless.Vmm.Control;

/// <summary>The control thread's loop: serves the control socket, moves console output, and takes the machine down when its guest has ended.</summary>
internal sealed class ControlServer : IDisposable
{
    private const ulong ListenTag = 1, WakeTag = 2;
    // Console bytes come one by one. What comes after a silence is sent on at once, what follows within this time together.
    private static readonly TimeSpan Gather = TimeSpan.FromMilliseconds(10);
    // The last answers of a VMM that was told to end; a client that does not take them in this time never will.
    private static readonly TimeSpan Farewell = TimeSpan.FromSeconds(2);

    private readonly string _path;
    private readonly TimeProvider _time;
    private readonly Action? _launched;
    private readonly UnixSocket _listener;
    private readonly Epoll _epoll = new();
    private readonly EventFd _wake = new();
    private readonly ControlConnections _connections;
    private readonly EventFeed _feed;
    private readonly VmLife _vm;
    private readonly ControlRequests _requests;
    private readonly DeviceRequests _devices;
    private readonly List<(ControlConnection Connection, uint Request)> _enders = [];
    private long? _gatherSince;
    private long _lastPump;
    private long? _leaveBy;
    private bool _endAsked;

    /// <param name="path">The control socket's path.</param>
    /// <param name="launcher">Builds the machine.</param>
    /// <param name="time">The clock.</param>
    /// <param name="launched">Called by the control thread when the guest runs and whoever launched it knows; null for nothing.</param>
    public ControlServer(string path, MachineLauncher launcher, TimeProvider time, Action? launched = null)
    {
        _launched = launched;
        _path = path;
        _time = time;
        var console = new ConsoleRing(_wake.Signal);
        _connections = new ControlConnections(_epoll);
        _feed = new EventFeed(console, _connections);
        _vm = new VmLife(console, launcher, time, _wake.Signal);
        _devices = new DeviceRequests(_vm, _connections, _wake.Signal);
        _requests = new ControlRequests(_vm, _connections, _feed, _devices, AskEnd);
        _listener = UnixSocket.Listen(path);
        _epoll.Add(_listener.Handle, EpollEvents.Readable, ListenTag);
        _epoll.Add(_wake.Handle, EpollEvents.Readable, WakeTag);
    }

    /// <summary>Serves until told to end.</summary>
    public void Run()
    {
        Span<EpollEvent> reports = stackalloc EpollEvent[16];
        while (_leaveBy is null || (_connections.AnyWaiting && Remaining(_leaveBy.Value, Farewell) > 0))
        {
            var limit = _leaveBy is { } leave ? Remaining(leave, Farewell) : _gatherSince is { } since ? Remaining(since, Gather) : -1;
            var count = _epoll.Wait(reports, limit);
            foreach (ref readonly var report in reports[..count])
                Handle(report);
            if (_gatherSince is { } begun && (Remaining(begun, Gather) == 0 || Remaining(_lastPump, Gather) == 0))
                Pump();
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
        _connections.Dispose();
        _vm.Dispose();
        _listener.Dispose();
        _epoll.Dispose();
        _wake.Dispose();
        try
        {
            File.Delete(_path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The folder went first, or the process sees no folders any more: then the agent removes it.
        }
    }

    private void Pump()
    {
        _gatherSince = null;
        _lastPump = _time.GetTimestamp();
        _feed.PumpAll(_vm.Log, _vm.End);
    }

    private int Remaining(long since, TimeSpan limit) => (int)Math.Max(0, Math.Ceiling((limit - _time.GetElapsedTime(since)).TotalMilliseconds));

    private void Handle(EpollEvent report)
    {
        if (report.Tag == ListenTag)
        {
            while (_listener.Accept() is { } socket)
                Welcome(_connections.Add(socket));
        }
        else if (report.Tag == WakeTag)
        {
            _wake.Take();
            _gatherSince ??= _time.GetTimestamp();
            Advance();
        }
        else if (_connections.TryGet(report.Tag, out var connection))
        {
            if ((report.Events & EpollEvents.Writable) != EpollEvents.None && !(_connections.TryFlush(connection) && _feed.TryPump(connection, _vm.End)))
                _connections.Drop(connection);
            else if ((report.Events & ~EpollEvents.Writable) != EpollEvents.None)
                Serve(connection);
        }
    }

    private void Welcome(ControlConnection connection) =>
        _connections.Send(connection, new Frame(FrameKind.Hello, 0, JsonSerializer.SerializeToUtf8Bytes(_vm.Hello, ControlJson.Default.VmmHello)));

    private void Serve(ControlConnection connection)
    {
        if (connection.Receive() is not { } frames)
        {
            _connections.Drop(connection);
            return;
        }
        foreach (var frame in frames)
            _requests.Serve(connection, frame);
    }

    /// <summary>Takes note of a launch that is done, of a guest that has ended, and of a wish to end.</summary>
    private void Advance()
    {
        if (_vm.TakeLaunched() is { } launch)
        {
            if (launch.Problem is { } problem)
            {
                _connections.Refuse(launch.Connection, launch.Request, problem);
            }
            else
            {
                _connections.Send(launch.Connection, new Frame(FrameKind.Reply, launch.Request));
                _launched?.Invoke();
            }
        }
        while (_vm.TakeDeviceEvent() is { } happened)
            _feed.Add(happened);
        _feed.LastRestart = _vm.LastRestart;
        if (_vm.TakeEnded())
        {
            Pump();
            _vm.CloseLog();
        }
        // Behind the end, which releases every device, so that whoever waits for one hears of it.
        _devices.SendAnswers();
        if (Volatile.Read(ref _endAsked) && _leaveBy is null)
            End();
    }

    private void AskEnd(ControlConnection connection, uint request)
    {
        _enders.Add((connection, request));
        _endAsked = true;
        End();
    }

    private void End()
    {
        if (!_vm.IsIdle)
        {
            _vm.EndGuest();
            return;
        }
        foreach (var (connection, request) in _enders)
            _connections.Send(connection, new Frame(FrameKind.Reply, request));
        _enders.Clear();
        _leaveBy = _time.GetTimestamp();
    }
}
