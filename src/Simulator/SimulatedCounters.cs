using Exitless.Contracts;

namespace Exitless.Simulator;

/// <summary>
/// The series of one run of a simulated VM, under the names that the agent gives them: KVM's statistics of each vCPU, interrupts of each vector, their grades, and
/// the process. Values are worked out from the time since the start.
/// </summary>
internal sealed class SimulatedCounters
{
    private const double ExitNanoseconds = 1800;
    private const int RatioSeconds = 10;

    // What exits without any device, per second and vCPU: host ticks, halts, port and memory I/O, page faults at the beginning.
    private static readonly (string Name, double Rate)[] Background = [("irq_exits", 12), ("halt_exits", 40), ("io_exits", 0.8), ("mmio_exits", 1.5), ("hypercalls", 0.2)];
    private const double TimerExits = 45;   // MSR writes of the deadline timer, which have no statistic of their own
    private const double PageFaults = 4000;

    private readonly SimulatedLoad _load;
    private readonly (string Address, int Vector, double Rate)[] _vectors;
    private readonly int _vcpus;
    private readonly long _memory;
    private readonly double _busy;
    private readonly List<(double From, SimulatedPath Path)> _paths;

    /// <param name="seed">Of this VM.</param>
    /// <param name="schema">The id of the run's schema.</param>
    /// <param name="vm">What is wanted of it.</param>
    /// <param name="path">How its interrupts reach it at the start.</param>
    /// <param name="vectorsOfFunction">Vectors of each of its VFs.</param>
    public SimulatedCounters(ulong seed, ulong schema, WantedVm vm, SimulatedPath path, int vectorsOfFunction = 3)
    {
        var draw = new Draw(seed);
        _load = new SimulatedLoad(ref draw);
        _vcpus = (int)vm.Vcpus;
        _memory = (long)vm.MemoryMib << 20;
        _busy = 0.1 + 0.8 * draw.Unit();
        var vectors = new List<(string, int, double)>();
        foreach (var device in vm.Devices)
        {
            for (var vector = 0; vector < vectorsOfFunction; vector++)
                vectors.Add((device.Address, vector, vector == 0 ? 0.1 : draw.Scale(50, 20_000)));
        }
        _vectors = [.. vectors];
        _paths = [(0, path)];
        Schema = MakeSchema(vm.VmId, schema);
    }

    public SampleSchema Schema { get; }

    /// <summary>The way that the interrupts take now.</summary>
    public SimulatedPath Path => _paths[^1].Path;

    /// <summary>The devices' vectors: function, index, and the vCPU that takes it.</summary>
    public IEnumerable<(string Address, int Vector, int Vcpu)> Vectors => _vectors.Select((v, i) => (v.Address, v.Vector, i % _vcpus));

    /// <summary>Throws the switch.</summary>
    public void Switch(double seconds, SimulatedPath path)
    {
        if (path != Path)
            _paths.Add((seconds, path));
    }

    /// <summary>The row at a time since the start.</summary>
    public SampleRow Row(long unixMilliseconds, double seconds)
    {
        var row = new SampleRow { Time = unixMilliseconds };
        row.Values.Capacity = Schema.Series.Count;
        var exits = 0.0;
        for (var vcpu = 0; vcpu < _vcpus; vcpu++)
        {
            var total = ExitsOf(vcpu, seconds);
            exits += total;
            row.Values.Add((long)total);
            foreach (var (name, rate) in Background)
                row.Values.Add((long)(rate * seconds + (name == "irq_exits" ? InjectedOf(vcpu, seconds) : 0)));
            row.Values.Add((long)Faults(seconds));
        }
        foreach (var (_, _, rate) in _vectors)
            row.Values.Add((long)(rate * _load.Until(seconds)));
        var path = PathAt(seconds);
        foreach (var (_, _, rate) in _vectors)
            row.Values.Add(rate < 1 ? 0 : path == SimulatedPath.Posted ? 4 : 1);
        var before = Math.Max(0, seconds - RatioSeconds);
        var interrupts = InterruptRate * (_load.Until(seconds) - _load.Until(before));
        var more = Enumerable.Range(0, _vcpus).Sum(vcpu => ExitsOf(vcpu, seconds) - ExitsOf(vcpu, before));
        row.Values.Add(interrupts < 1 ? -1 : (long)(more * 1000 / interrupts));
        row.Values.Add(interrupts < 1 ? -1 : path == SimulatedPath.Posted ? 0 : 1000);
        row.Values.Add((long)(_busy * _vcpus * 1e9 * _load.Until(seconds)));
        row.Values.Add((long)(exits * ExitNanoseconds));
        row.Values.Add((long)(_memory * (1 - 0.7 * Math.Exp(-seconds / 60))) & ~0x1fffffL);
        return row;
    }

    private double InterruptRate => _vectors.Sum(v => v.Rate);

    private double ExitsOf(int vcpu, double seconds) => Background.Sum(b => b.Rate) * seconds + TimerExits * seconds + Faults(seconds) + InjectedOf(vcpu, seconds);

    // The guest touches its memory once.
    private static double Faults(double seconds) => PageFaults * (1 - Math.Exp(-seconds / 20));

    private double InjectedOf(int vcpu, double seconds)
    {
        var rate = 0.0;
        for (var i = vcpu; i < _vectors.Length; i += _vcpus)
            rate += _vectors[i].Rate;
        var load = 0.0;
        for (var i = 0; i < _paths.Count; i++)
        {
            if (_paths[i].Path != SimulatedPath.Injected || _paths[i].From >= seconds)
                continue;
            var end = i + 1 < _paths.Count ? Math.Min(_paths[i + 1].From, seconds) : seconds;
            load += _load.Until(end) - _load.Until(_paths[i].From);
        }
        return rate * load;
    }

    private SimulatedPath PathAt(double seconds)
    {
        var path = _paths[0].Path;
        foreach (var (from, next) in _paths)
            path = from <= seconds ? next : path;
        return path;
    }

    private SampleSchema MakeSchema(string vmId, ulong id)
    {
        var schema = new SampleSchema { VmId = vmId, SchemaId = id };
        void Add(string key, SeriesKind kind, string unit) => schema.Series.Add(new Series { Key = key, Kind = kind, Unit = unit });
        for (var vcpu = 0; vcpu < _vcpus; vcpu++)
        {
            Add($"kvm.vcpu.{vcpu}.exits", SeriesKind.Counter, "");
            foreach (var (name, _) in Background)
                Add($"kvm.vcpu.{vcpu}.{name}", SeriesKind.Counter, "");
            Add($"kvm.vcpu.{vcpu}.pf_taken", SeriesKind.Counter, "");
        }
        foreach (var (address, vector, _) in _vectors)
            Add($"vfio.{address}.msix.{vector}", SeriesKind.Counter, "interrupts");
        foreach (var (address, vector, _) in _vectors)
            Add($"grade.{address}.msix.{vector}", SeriesKind.Gauge, "grade");
        Add("grade.exits_per_1000_interrupts", SeriesKind.Gauge, "exits");
        Add("grade.marginal_exits_per_1000_interrupts", SeriesKind.Gauge, "exits");
        Add("process.cpu_guest_ns", SeriesKind.Counter, "ns");
        Add("process.cpu_host_ns", SeriesKind.Counter, "ns");
        Add("process.rss_bytes", SeriesKind.Gauge, "bytes");
        return schema;
    }
}
