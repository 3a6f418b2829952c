using Exitless.Agent.ExitReasons;
using Exitless.Agent.Grading;
using Exitless.Agent.Telemetry;
using Exitless.Contracts;
using Exitless.Linux;
using Exitless.Linux.Interrupts;
using Exitless.Linux.Procfs;
using Exitless.Linux.Sysfs;

namespace Exitless.Agent.Watching;

/// <summary>
/// Grades a VM that Exitless did not start, reading by reading, from KVM's debugfs files (each the sum over the VM's vCPUs), its process and the <c>vfio-msix</c> lines.
/// Reads only; given a trace, it has the kernel count exits by reason.
/// </summary>
internal sealed class ForeignSampler : IDisposable
{
    private static readonly string[] Statistics =
        ["exits", "irq_exits", "irq_injections", "halt_wakeup", "halt_successful_poll", "halt_wait_ns", "halt_poll_success_ns",
            "eli_direct_entries", "eli_direct_ns", "eli_resent", "eli_vectors"];

    private readonly ForeignVm _vm;
    private readonly List<(string Name, string Path)> _files;
    private readonly ProcessUsage _process;
    private readonly VectorColumns _vectors;
    private readonly VectorGrade? _bypass;
    private readonly ExitRatio _ratio;
    private readonly ForeignReasons? _reasons;
    private VmGrader _grader;
    private long[] _row = [];
    private long[] _before = [];

    /// <exception cref="IOException">The VM has just ended.</exception>
    public ForeignSampler(ForeignVm vm, HostRoot root, VfioInterrupts interrupts, ExitTrace? trace, int ratioSamples)
    {
        _vm = vm;
        _files = [.. Statistics.Select(name => (name, Path.Combine(vm.Statistics, name))).Where(file => File.Exists(file.Item2))];
        _process = new ProcessUsage(root, vm.ProcessId);
        _vectors = new VectorColumns(interrupts, vm.Addresses);
        _bypass = HostBypass.Read(root);
        _ratio = new ExitRatio(ratioSamples);
        _reasons = trace is null ? null : new ForeignReasons(trace, root, vm);
        _grader = MakeGrader();
    }

    /// <summary>Reads a second.</summary>
    /// <returns>What it was; null for the first, and for one in which vectors came or went.</returns>
    /// <exception cref="LinuxException">The VM's process has ended.</exception>
    /// <exception cref="IOException">The VM has ended.</exception>
    public WatchedSecond? Read()
    {
        var comparable = !_vectors.Read() && _before.Length > 0;
        if (!comparable)
            _grader = MakeGrader();
        var at = 0;
        foreach (var (_, path) in _files)
            _row[at++] = Number(path);
        _vectors.Write(_row.AsSpan(at));
        at += _vectors.Count;
        _process.Read();
        _row[at++] = _process.GuestNanoseconds;
        _row[at++] = _process.HostNanoseconds;
        _grader.Grade(_row);
        var reasons = _reasons?.Read();
        var second = comparable ? Compare(at) with { Reasons = reasons } : null;
        _before = [.. _row];
        return second;
    }

    public void Dispose()
    {
        _reasons?.Dispose();
        _process.Dispose();
        _vectors.Dispose();
    }

    private WatchedSecond Compare(int grades)
    {
        var vectors = new WatchedVector[_vectors.Count];
        for (var i = 0; i < vectors.Length; i++)
        {
            var (address, vector) = _vectors[i];
            vectors[i] = new WatchedVector(address, vector, Math.Max(0, _row[_files.Count + i] - _before[_files.Count + i]), (VectorGrade)_row[grades + i]);
        }
        return new WatchedSecond(_vm, Math.Max(0, _row[0] - _before[0]), Ratio(_row[^2]), Ratio(_row[^1]), vectors);
    }

    private static double? Ratio(long perThousand) => perThousand == ExitRatio.Unknown ? null : perThousand / 1000.0;

    private VmGrader MakeGrader()
    {
        var schema = new SampleSchema();
        foreach (var (name, _) in _files)
            schema.Series.Add(new Series { Key = $"kvm.vcpu.0.{name}" });
        _vectors.AddTo(schema);
        schema.Series.Add(new Series { Key = "process.cpu_guest_ns" });
        schema.Series.Add(new Series { Key = "process.cpu_host_ns" });
        var grader = new VmGrader(schema, _bypass, _ratio);
        _row = new long[schema.Series.Count];
        return grader;
    }

    // These files can be read once only for each time they are opened (fs/libfs.c, simple_attr_open).
    private static long Number(string path) => SysfsFile.Number(path) ?? throw new FileNotFoundException("The VM has ended.", path);
}

/// <summary>One second of a watched VM.</summary>
/// <param name="Exits">VM exits in it.</param>
/// <param name="ExitsPerInterrupt">See <see cref="ExitRatio"/>; null: not known.</param>
/// <param name="MarginalExitsPerInterrupt">See <see cref="ExitRatio"/>; null: not known.</param>
internal sealed record WatchedSecond(ForeignVm Vm, long Exits, double? ExitsPerInterrupt, double? MarginalExitsPerInterrupt, IReadOnlyList<WatchedVector> Vectors)
{
    /// <summary>Exits by true reason, the most frequent first; null: nobody asked, or they cannot be counted.</summary>
    public IReadOnlyList<WatchedReason>? Reasons { get; init; }
}

/// <summary>One vector in one second.</summary>
/// <param name="Interrupts">As the host counts them.</param>
internal sealed record WatchedVector(string Address, int Vector, long Interrupts, VectorGrade Grade);

/// <summary>Exits for one reason in one second.</summary>
/// <param name="Name">See <see cref="ExitKey.Name"/>.</param>
internal sealed record WatchedReason(string Name, long Exits);
