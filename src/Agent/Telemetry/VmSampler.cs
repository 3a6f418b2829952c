using Exitless.Agent.ExitReasons;
using Exitless.Agent.Grading;
using Exitless.Contracts;
using Exitless.Linux;
using Exitless.Linux.Interrupts;
using Exitless.Linux.Procfs;
using Exitless.Vmm.Control;

namespace Exitless.Agent.Telemetry;

/// <summary>Reads all counters of one running VM into one row. Once the schema stands, a row allocates nothing.</summary>
internal sealed class VmSampler : IDisposable
{
    private readonly string _vmId;
    private readonly VmmStatistics _descriptors;
    private readonly KvmStatistics[] _statistics;   // of the VM, then of each vCPU
    private readonly ProcessUsage _process;
    private readonly Func<ulong> _nextSchemaId;
    private readonly VectorColumns _vectors;
    private readonly GuestColumns? _guest;
    private readonly ReasonColumns _reasons;
    private readonly VectorGrade? _bypass;
    private readonly ExitRatio _ratio = new();
    private VmGrader _grader = null!;
    private long[] _row = [];

    /// <param name="guest">What the guest's reporter says; null: it is not asked for.</param>
    public VmSampler(
        string vmId, HostRoot root, int processId, VmmStatistics statistics, VfioInterrupts interrupts, IReadOnlyList<string> addresses, ExitTrace trace, Func<ulong> nextSchemaId, GuestColumns? guest = null)
    {
        _guest = guest;
        (_vmId, _descriptors, _nextSchemaId) = (vmId, statistics, nextSchemaId);
        _statistics = [KvmStatistics.Open(statistics.Vm), .. statistics.Vcpus.Select(KvmStatistics.Open)];
        _process = new ProcessUsage(root, processId);
        _vectors = new VectorColumns(interrupts, addresses);
        _reasons = new ReasonColumns(trace, root, processId);
        _bypass = HostBypass.Read(root);
        Schema = MakeSchema();
    }

    /// <summary>The columns of the row that <see cref="Read"/> gave last.</summary>
    public SampleSchema Schema { get; private set; }

    /// <summary>For how many readings the guest has not moved (<see cref="VcpuActivity.HasMoved"/>).</summary>
    public int StillSeconds { get; private set; }

    /// <summary>Exits in the last second.</summary>
    public long Exits => _grader.Activity.Exits;

    /// <summary>Counts exits by their true reason while somebody looks.</summary>
    /// <returns>Why they cannot be counted, once; else null.</returns>
    public string? Look(bool look) => _reasons.Look(look);

    /// <exception cref="LinuxException">The process is gone.</exception>
    public ReadOnlySpan<long> Read()
    {
        // All are read, whichever has changed.
        var vectors = _vectors.Read();
        var guest = _guest?.Read(_vectors, vectors) == true;
        if (_reasons.Read() || vectors || guest)
            Schema = MakeSchema();
        var at = 0;
        foreach (var statistics in _statistics)
        {
            statistics.Read(_row.AsSpan(at));
            at += statistics.ValueCount;
        }
        _vectors.Write(_row.AsSpan(at));
        at += _vectors.Count;
        if (_guest is not null)
        {
            _guest.Write(_row.AsSpan(at));
            at += _guest.Count;
        }
        _reasons.Write(_row.AsSpan(at));
        at += _reasons.Count;
        _process.Read();
        _row[at++] = _process.GuestNanoseconds;
        _row[at++] = _process.HostNanoseconds;
        _row[at] = _process.ResidentBytes;
        _grader.Grade(_row);
        StillSeconds = _grader.Activity.HasMoved ? 0 : StillSeconds + 1;
        return _row;
    }

    public void Dispose()
    {
        _descriptors.Dispose();
        _vectors.Dispose();
        _reasons.Dispose();
        _process.Dispose();
    }

    private SampleSchema MakeSchema()
    {
        var schema = new SampleSchema { VmId = _vmId, SchemaId = _nextSchemaId() };
        for (var i = 0; i < _statistics.Length; i++)
        {
            var prefix = i == 0 ? "kvm.vm." : $"kvm.vcpu.{i - 1}.";
            foreach (var item in _statistics[i].Items)
                Add(schema, prefix, item);
        }
        _vectors.AddTo(schema);
        _guest?.AddTo(schema);
        _reasons.AddTo(schema);
        Add(schema, "process.cpu_guest_ns", SeriesKind.Counter, "ns");
        Add(schema, "process.cpu_host_ns", SeriesKind.Counter, "ns");
        Add(schema, "process.rss_bytes", SeriesKind.Gauge, "bytes");
        _grader = new VmGrader(schema, _bypass, _ratio);
        if (_row.Length != schema.Series.Count)
            _row = new long[schema.Series.Count];
        return schema;
    }

    private static void Add(SampleSchema schema, string prefix, KvmStatistic item)
    {
        var kind = item.Kind is KvmStatisticKind.Instant or KvmStatisticKind.Peak ? SeriesKind.Gauge : SeriesKind.Counter;
        if (item.Count == 1)
        {
            Add(schema, prefix + item.Name, kind, UnitOf(item));
            return;
        }
        for (var bucket = 0; bucket < item.Count; bucket++)   // a histogram's buckets count events
            Add(schema, $"{prefix}{item.Name}.{bucket}", SeriesKind.Counter, "");
    }

    private static void Add(SampleSchema schema, string key, SeriesKind kind, string unit) =>
        schema.Series.Add(new Series { Key = key, Kind = kind, Unit = unit });

    private static string UnitOf(KvmStatistic item) => item.Unit switch
    {
        KvmStatisticUnit.Bytes => "bytes",
        KvmStatisticUnit.Seconds => item.Exponent switch { -9 => "ns", -6 => "us", -3 => "ms", _ => "s" },
        KvmStatisticUnit.Cycles => "cycles",
        KvmStatisticUnit.Boolean => "bool",
        _ => "",
    };
}
