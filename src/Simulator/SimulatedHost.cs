using System.Threading.Channels;
using Exitless.Contracts;

namespace Exitless.Simulator;

/// <summary>
/// A host that does not exist, behind an agent link that does: it takes wanted states, brings its VMs and PFs to them, and sends inventory, findings, observed
/// states, rows and consoles. It holds no timer of its own: whoever runs it calls <see cref="Tick"/> once a second. Counters are worked out, not kept, so
/// that thousands fit into one process.
/// </summary>
public sealed class SimulatedHost
{
    private const int HeartbeatSeconds = 5;

    private readonly Lock _gate = new();
    private readonly ulong _seed;
    private readonly SimulatedHardware _hardware;
    private readonly TimeProvider _time;
    private readonly Dictionary<string, SimulatedVm> _vms = new(StringComparer.Ordinal);
    private readonly Dictionary<string, ObservedPf> _pfs = new(StringComparer.Ordinal);
    private WantedState _wanted = new();
    private Channel<AgentMessage>? _link;
    private long _spokeAt;
    private long _rowsSent;
    private int _linksLost;

    /// <param name="name">The host name it reports.</param>
    /// <param name="seed">The same seed and shape give the same machine.</param>
    /// <param name="shape">What it is made of.</param>
    /// <param name="time">The clock.</param>
    public SimulatedHost(string name, ulong seed, SimulatedShape shape, TimeProvider time)
    {
        (Name, _seed, _time) = (name, seed, time);
        _hardware = new SimulatedHardware(seed, shape);
        BootId = Guid.CreateVersion7(time.GetUtcNow()).ToString("D");
    }

    /// <summary>The host name it reports.</summary>
    public string Name { get; }

    /// <summary>New with each process, as a boot is.</summary>
    public string BootId { get; }

    /// <summary>The newest wanted state that it has taken.</summary>
    public ulong WantedGeneration => _wanted.Generation;

    /// <summary>Rows that it has sent.</summary>
    public long RowsSent => Interlocked.Read(ref _rowsSent);

    /// <summary>Whether a link is open.</summary>
    public bool Linked => _link is not null;

    /// <summary>Whether it sends rows that are due; what becomes due meanwhile is sent later.</summary>
    public bool SendsRows { get; set; } = true;

    /// <summary>How often an open link has ended.</summary>
    public int LinksLost => Volatile.Read(ref _linksLost);

    /// <summary>Addresses of the VFs that it has at its start.</summary>
    public IReadOnlyList<string> Vfs => _hardware.Vfs;

    /// <summary>What runs, with how often it was started and the VFs that its process holds: a VM that nobody touches is started once.</summary>
    public IReadOnlyList<(Guid VmId, int Runs, IReadOnlyList<string> Vfs)> Running
    {
        get
        {
            lock (_gate)
                return [.. _vms.Values.Where(vm => vm.IsRunning).Select(vm => (Guid.Parse(vm.Id), vm.Runs, (IReadOnlyList<string>)[.. vm.HeldVfs]))];
        }
    }

    /// <summary>VMs that run.</summary>
    public int RunningVms
    {
        get
        {
            lock (_gate)
                return _vms.Values.Count(vm => vm.IsRunning);
        }
    }

    /// <summary>Is told when rows of a VM up to a time (Unix milliseconds) are committed.</summary>
    public Action<Guid, long>? OnAcknowledged { get; set; }

    /// <summary>Is told when a wanted state brings a VM that it did not know.</summary>
    public Action<Guid>? OnOrdered { get; set; }

    /// <summary>Sends rows of a time before its VMs were started, as after a link that was lost for so long.</summary>
    /// <returns>How many.</returns>
    public int SendBacklog(TimeSpan past)
    {
        lock (_gate)
        {
            if (_link is null)
                return 0;
            var sent = _vms.Values.Sum(vm => vm.SendBacklog(past, Send));
            Interlocked.Add(ref _rowsSent, sent);
            return sent;
        }
    }

    /// <summary>Goes a second on: VMs take their next step, rows that are due are sent, and a heartbeat where there is nothing to say.</summary>
    public void Tick()
    {
        lock (_gate)
        {
            var now = Now;
            var changed = false;
            foreach (var vm in _vms.Values)
                changed |= vm.Advance(now);
            if (_link is null)
                return;
            if (changed)
                SendObserved();
            foreach (var vm in SendsRows ? _vms.Values : Enumerable.Empty<SimulatedVm>())
                Interlocked.Add(ref _rowsSent, vm.SendDue(now, Send));
            if (now - _spokeAt >= HeartbeatSeconds * 1000L)
                Send(new AgentMessage { Heartbeat = new Heartbeat { Time = now } });
        }
    }

    /// <summary>A link has opened: everything is told anew.</summary>
    internal ChannelReader<AgentMessage> LinkUp(Welcome welcome)
    {
        lock (_gate)
        {
            _link = Channel.CreateUnbounded<AgentMessage>(new UnboundedChannelOptions { SingleReader = true });
            var acknowledged = welcome.Acknowledged.ToDictionary(a => a.VmId, a => a.Through, StringComparer.Ordinal);
            foreach (var vm in _vms.Values)
                vm.Relink(acknowledged.GetValueOrDefault(vm.Id));
            if (welcome.SendStored)
                Send(new AgentMessage { Stored = _wanted });
            Send(new AgentMessage { Inventory = _hardware.Inventory() });
            Send(new AgentMessage { Report = SimulatedFindings.Of(_seed, _hardware) });
            if (WantedGeneration > 0)
                SendObserved();
            return _link.Reader;
        }
    }

    internal void LinkDown()
    {
        lock (_gate)
            _link = null;
        Interlocked.Increment(ref _linksLost);
    }

    /// <summary>Takes a message of the control plane.</summary>
    internal void Take(ControlMessage message)
    {
        lock (_gate)
        {
            switch (message.BodyCase)
            {
                case ControlMessage.BodyOneofCase.Wanted:
                    Want(message.Wanted);
                    break;
                case ControlMessage.BodyOneofCase.Watch when _vms.TryGetValue(message.Watch.VmId, out var vm):
                    vm.Watch(message.Watch.On, Now, message.Watch.BackfillSeconds, Send);
                    break;
                case ControlMessage.BodyOneofCase.ConsoleAttach when _vms.TryGetValue(message.ConsoleAttach.VmId, out var vm) && vm.Console is { } console:
                    console.Attached = true;
                    Send(new AgentMessage { Console = console.From(vm.Id, message.ConsoleAttach.FromOffset) });
                    break;
                case ControlMessage.BodyOneofCase.ConsoleInput when _vms.TryGetValue(message.ConsoleInput.VmId, out var vm) && vm.Console is { } console:
                    var answer = console.Type(vm.Id, message.ConsoleInput.Data.Span);
                    if (console.Attached)
                        Send(new AgentMessage { Console = answer });
                    break;
                case ControlMessage.BodyOneofCase.ConsoleDetach when _vms.TryGetValue(message.ConsoleDetach.VmId, out var vm) && vm.Console is { } console:
                    console.Attached = false;
                    break;
                case ControlMessage.BodyOneofCase.Acks:
                    foreach (var ack in message.Acks.Acks)
                        OnAcknowledged?.Invoke(Guid.Parse(ack.VmId), ack.Through);
                    break;
                case ControlMessage.BodyOneofCase.Ack when Guid.TryParse(message.Ack.VmId, out var vm):
                    OnAcknowledged?.Invoke(vm, message.Ack.Through);
                    break;
            }
        }
    }

    private long Now => _time.GetUtcNow().ToUnixTimeMilliseconds();

    private void Want(WantedState wanted)
    {
        _wanted = wanted;
        var now = Now;
        var ids = wanted.Vms.Select(vm => vm.VmId).ToHashSet(StringComparer.Ordinal);
        foreach (var gone in _vms.Keys.Where(id => !ids.Contains(id)).ToList())
            _vms.Remove(gone);
        foreach (var vm in wanted.Vms)
        {
            if (!_vms.TryGetValue(vm.VmId, out var known))
            {
                _vms[vm.VmId] = known = new SimulatedVm(vm, _seed, _hardware);
                OnOrdered?.Invoke(Guid.Parse(vm.VmId));
            }
            if (known.Observed().Generation != vm.Generation)
                known.Want(vm, now);
        }
        foreach (var pf in wanted.Pfs)
            Want(pf, now);
        SendObserved();
    }

    private void Want(WantedPf pf, long now)
    {
        if (_pfs.TryGetValue(pf.Address, out var known) && known.Generation == pf.Generation)
            return;
        var problem = _hardware.SetVfs(pf.Address, (int)pf.NumVfs);
        var step = new Step { Name = $"write {pf.NumVfs} to sriov_numvfs", State = problem is null ? StepState.Done : StepState.Failed, StartedAt = now, FinishedAt = now };
        _pfs[pf.Address] = new ObservedPf { Address = pf.Address, Generation = pf.Generation, Converged = problem is null, Problem = problem, Steps = { step } };
        Send(new AgentMessage { Inventory = _hardware.Inventory() });
    }

    private void SendObserved()
    {
        var observed = new ObservedState { Generation = WantedGeneration };
        observed.Vms.AddRange(_vms.Values.Select(vm => vm.Observed()));
        observed.Pfs.AddRange(_pfs.Values);
        Send(new AgentMessage { Observed = observed });
    }

    private void Send(AgentMessage message)
    {
        if (_link is null)
            return;
        _spokeAt = Now;
        _link.Writer.TryWrite(message);
    }
}
