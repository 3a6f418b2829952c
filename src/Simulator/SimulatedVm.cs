using Exitless.Contracts;

namespace Exitless.Simulator;

/// <summary>A VM of a simulated host: brought to its wanted state step by step, one step a tick, as a real one takes its time.</summary>
internal sealed class SimulatedVm
{
    private const int StoredSeconds = 10;
    private const int MostRows = 60;         // in one message
    private const int LongestGap = 3600;     // what the agent's ring keeps

    private readonly SimulatedHardware _hardware;
    private readonly ulong _seed;
    private readonly long _phase;   // ms
    private readonly ObservedVm _observed = new();
    private SimulatedCounters? _counters;
    private SimulatedConsole? _console;
    private WantedVm _wanted;
    private int _run;
    private long _startedAt;
    private long _stored;
    private long _live;
    private bool _told;
    private string[] _held = [];

    public SimulatedVm(WantedVm wanted, ulong hostSeed, SimulatedHardware hardware)
    {
        (_wanted, _hardware) = (wanted, hardware);
        // Agents started at all sorts of moments: the stored rows of a fleet are spread over the ten seconds.
        _phase = (long)(hostSeed / 10 % StoredSeconds) * 1000;
        _seed = hostSeed ^ BitConverter.ToUInt64(Guid.Parse(wanted.VmId).ToByteArray(), 8);
        (_observed.VmId, _observed.State) = (wanted.VmId, VmState.Stopped);
    }

    public string Id => _observed.VmId;

    /// <summary>How often it was started.</summary>
    public int Runs => _run;

    /// <summary>The VFs that its running process holds.</summary>
    public IEnumerable<string> HeldVfs => IsRunning ? _held : [];

    public bool IsRunning => _observed.State == VmState.Running;

    /// <summary>Whether somebody looks.</summary>
    public bool Watched { get; private set; }

    public SimulatedConsole? Console => _console;

    /// <summary>What the agent would report; a copy, for the link serializes it later.</summary>
    public ObservedVm Observed() => _observed.Clone();

    /// <summary>Takes what is wanted now.</summary>
    public void Want(WantedVm wanted, long now)
    {
        _wanted = wanted;
        _observed.Generation = wanted.Generation;
        if (wanted.Run == WantedRun.Off && _observed.State != VmState.Stopped)
            Stopped("killed");
        else if (wanted.Run == WantedRun.Stopped && IsRunning)
            Begin(VmState.Stopping, "press the power button", now);
        else if (wanted.Run == WantedRun.Running && _observed.State is VmState.Stopped or VmState.Failed)
            Begin(VmState.Starting, "prepare devices and memory", now);
        else if (IsRunning)
            Throw(now);
    }

    /// <summary>Goes one step on.</summary>
    /// <returns>Whether something changed.</returns>
    public bool Advance(long now)
    {
        switch (_observed.State)
        {
            case VmState.Starting:
                EndSteps(now);
                Started(now);
                return true;
            case VmState.Stopping:
                EndSteps(now);
                Stopped("power-off");
                return true;
            default:
                return false;
        }
    }

    /// <summary>A new link knows no schema and watches nothing; what it has is committed through this time.</summary>
    public void Relink(long acknowledged)
    {
        (_told, Watched) = (false, false);
        if (_console is not null)
            _console.Attached = false;
        _stored = Math.Max(acknowledged, _startedAt);
    }

    public void Watch(bool on, long now, uint backfillSeconds, Action<AgentMessage> send)
    {
        Watched = on;
        _live = Floor(now, 1);
        if (!on || !IsRunning)
            return;
        var from = Floor(Math.Max(_startedAt, now - backfillSeconds * 1000L), 1);
        SendRows(from, _live, 1, RowKind.Backfill, send);
    }

    /// <summary>Sends rows of a time before its start at once, as an agent does whose link was lost for so long: its run then began that much earlier.</summary>
    /// <returns>How many.</returns>
    public int SendBacklog(TimeSpan past, Action<AgentMessage> send)
    {
        if (!IsRunning)
            return 0;
        var until = _startedAt - 1;
        _startedAt -= (long)past.TotalMilliseconds;
        return SendRows(_startedAt, until, StoredSeconds, RowKind.Stored, send, _phase);
    }

    /// <summary>Sends the rows that are due.</summary>
    /// <returns>How many.</returns>
    public int SendDue(long now, Action<AgentMessage> send)
    {
        if (!IsRunning)
            return 0;
        var from = Math.Max(_stored, now - LongestGap * 1000L);
        var sent = SendRows(from, now, StoredSeconds, RowKind.Stored, send, _phase);
        _stored = Math.Max(_stored, Floor(now - _phase, StoredSeconds) + _phase);
        if (Watched)
        {
            sent += SendRows(_live, now, 1, RowKind.Live, send);
            _live = Math.Max(_live, Floor(now, 1));
        }
        return sent;
    }

    // Rows at whole multiples of the step, after the one time and up to the other.
    private int SendRows(long after, long through, int stepSeconds, RowKind kind, Action<AgentMessage> send, long phase = 0)
    {
        var sent = 0;
        SampleRows? rows = null;
        for (var at = Floor(after - phase, stepSeconds) + phase + stepSeconds * 1000L; at <= through; at += stepSeconds * 1000L)
        {
            if (at < _startedAt)
                continue;
            Tell(send);
            rows ??= new SampleRows { VmId = Id, SchemaId = _counters!.Schema.SchemaId, Kind = kind };
            rows.Rows.Add(_counters!.Row(at, (at - _startedAt) / 1000.0));
            sent++;
            if (rows.Rows.Count < MostRows)
                continue;
            send(new AgentMessage { Rows = rows });
            rows = null;
        }
        if (rows is not null)
            send(new AgentMessage { Rows = rows });
        return sent;
    }

    private void Tell(Action<AgentMessage> send)
    {
        if (_told)
            return;
        _told = true;
        send(new AgentMessage { Schema = _counters!.Schema });
    }

    private void Begin(VmState state, string step, long now)
    {
        _observed.State = state;
        _observed.Problem = null;
        _observed.Steps.Clear();
        _observed.Steps.Add(new Step { Name = step, State = StepState.Running, StartedAt = now });
    }

    private void EndSteps(long now)
    {
        foreach (var step in _observed.Steps)
            (step.State, step.FinishedAt) = (StepState.Done, now);
    }

    private void Started(long now)
    {
        _run++;
        _held = [.. _wanted.Devices.Select(d => d.Address)];
        var path = _hardware.Path == SimulatedPath.Posted && _wanted.Interrupts != InterruptPolicy.Injected ? SimulatedPath.Posted : SimulatedPath.Injected;
        _counters = new SimulatedCounters(_seed, (ulong)_run, _wanted, path, _hardware.Vectors);
        _console = new SimulatedConsole(_wanted.Name);
        (_startedAt, _stored, _live, _told) = (now, now, Floor(now, 1), false);
        _observed.Steps.Add(new Step { Name = "start vCPUs", State = StepState.Done, StartedAt = now, FinishedAt = now });
        (_observed.State, _observed.StartedAt, _observed.ProcessId, _observed.EndReason) = (VmState.Running, now, 1000 + (uint)(_seed % 30_000), "");
        _observed.Locality = Place();
    }

    private void Stopped(string reason)
    {
        (_observed.State, _observed.StartedAt, _observed.ProcessId, _observed.EndReason, _observed.Locality) = (VmState.Stopped, 0, 0, reason, null);
        (_counters, _console) = (null, null);
    }

    private void Throw(long now)
    {
        var best = _hardware.Path == SimulatedPath.Posted && _wanted.Interrupts != InterruptPolicy.Injected ? SimulatedPath.Posted : SimulatedPath.Injected;
        // A switch of all devices is what the simulator knows.
        var injected = _wanted.Switches.LastOrDefault(s => s.Address.Length == 0)?.Injected ?? false;
        _counters!.Switch((now - _startedAt) / 1000.0, injected ? SimulatedPath.Injected : best);
        foreach (var vector in _observed.Locality.Vectors)
            vector.Injected = injected;
    }

    private Locality Place()
    {
        var node = _wanted.Devices.Count > 0 ? _hardware.NodeOf(_wanted.Devices[0].Address) : (int)(_seed % (ulong)_hardware.NumaNodes);
        uint[] cpus = [.. _hardware.CpusOf(node)];
        var first = (int)(_seed % (ulong)cpus.Length);
        var locality = new Locality();
        for (var vcpu = 0; vcpu < _wanted.Vcpus; vcpu++)
            locality.Vcpus.Add(new VcpuPlace { Index = (uint)vcpu, Cpus = { cpus[(first + vcpu) % cpus.Length] } });
        var irq = 40u + (uint)(_seed % 100);
        foreach (var (address, vector, vcpu) in _counters!.Vectors)
            locality.Vectors.Add(new VectorPlace { Address = address, Vector = (uint)vector, Irq = irq++, HostCpus = { cpus[(first + vcpu) % cpus.Length] }, Vcpu = (uint)vcpu });
        foreach (var device in _wanted.Devices)
            locality.Devices.Add(new DevicePlace { Address = device.Address, Node = (uint)_hardware.NodeOf(device.Address) });
        locality.Memory.Add(new NodeMemory { Node = (uint)node, Bytes = (ulong)_wanted.MemoryMib << 20 });
        return locality;
    }

    private static long Floor(long milliseconds, int seconds) => milliseconds / (seconds * 1000L) * (seconds * 1000L);
}
