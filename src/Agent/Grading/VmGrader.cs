using Exitless.Agent.GuestCounts;
using Exitless.Contracts;

namespace Exitless.Agent.Grading;

/// <summary>
/// Grades a VM's vectors once a second from the row that was just read, and writes what it finds into the row's last columns. Once it is made, a second allocates nothing.
/// </summary>
internal sealed class VmGrader
{
    private const string Prefix = "grade.";
    private readonly VectorGrade? _bypass;
    private readonly ExitRatio _ratio;
    private readonly GuestEvidence? _guest;   // null: the guest is not asked
    private readonly int[] _vectors;
    private readonly int _columns;
    private readonly int[] _exits, _interruptExits, _injections, _wakeups, _halted, _running;
    private readonly int[] _directEntries, _directTimes, _resent, _gates;   // none where KVM has no ELI
    private readonly bool _complete;
    private readonly long[] _before;
    private bool _first = true;

    /// <param name="schema">The row's columns so far; this adds its own behind them.</param>
    /// <param name="bypass">See <see cref="VectorGrader.Grade"/>.</param>
    /// <param name="ratio">Goes on when the schema changes.</param>
    public VmGrader(SampleSchema schema, VectorGrade? bypass, ExitRatio ratio)
    {
        (_bypass, _ratio) = (bypass, ratio);
        var keys = schema.Series.Select(s => s.Key).ToList();
        _columns = keys.Count;
        _exits = VcpuColumns(keys, ".exits");
        _interruptExits = VcpuColumns(keys, ".irq_exits");
        _injections = VcpuColumns(keys, ".irq_injections");
        _wakeups = [.. VcpuColumns(keys, ".halt_wakeup"), .. VcpuColumns(keys, ".halt_successful_poll")];
        _halted = [.. VcpuColumns(keys, ".halt_wait_ns"), .. VcpuColumns(keys, ".halt_poll_success_ns")];
        _running = [.. Enumerable.Range(0, keys.Count).Where(i => keys[i] is "process.cpu_guest_ns" or "process.cpu_host_ns")];
        _directEntries = VcpuColumns(keys, ".eli_direct_entries");
        _directTimes = VcpuColumns(keys, ".eli_direct_ns");
        _resent = VcpuColumns(keys, ".eli_resent");
        _gates = VcpuColumns(keys, ".eli_vectors");
        _complete = _exits.Length > 0 && _interruptExits.Length == _exits.Length && _injections.Length == _exits.Length && _wakeups.Length == 2 * _exits.Length
            && _halted.Length == 2 * _exits.Length && _running.Length == 2;
        _vectors = [.. Enumerable.Range(0, keys.Count).Where(i => keys[i].StartsWith("vfio.", StringComparison.Ordinal))];
        if (keys.IndexOf("guest.reports") is var reports and >= 0)
            _guest = new GuestEvidence([.. _vectors.Select(v => keys.IndexOf("guest." + keys[v]["vfio.".Length..]))], reports, keys.IndexOf("guest.age_ms"), GuestWord.FreshMilliseconds);
        _before = new long[_columns];
        foreach (var vector in _vectors)
            schema.Series.Add(new Series { Key = Prefix + keys[vector]["vfio.".Length..], Kind = SeriesKind.Gauge, Unit = "grade" });
        if (_guest is not null)
            schema.Series.Add(new Series { Key = Prefix + "from_guest", Kind = SeriesKind.Gauge, Unit = "bool" });
        schema.Series.Add(new Series { Key = Prefix + "exits_per_1000_interrupts", Kind = SeriesKind.Gauge, Unit = "exits" });
        schema.Series.Add(new Series { Key = Prefix + "marginal_exits_per_1000_interrupts", Kind = SeriesKind.Gauge, Unit = "exits" });
    }

    /// <summary>What KVM counted in the last second.</summary>
    public VcpuActivity Activity { get; private set; }

    /// <summary>Fills the last columns of a row from the others.</summary>
    /// <param name="row">As many columns as the schema has now.</param>
    public void Grade(Span<long> row)
    {
        var interrupts = 0L;
        foreach (var vector in _vectors)
            interrupts += Risen(row, vector);
        Activity = new VcpuActivity(Risen(row, _exits), Risen(row, _interruptExits), Risen(row, _injections), Risen(row, _wakeups), Risen(row, _halted), Risen(row, _running));
        var direct = Direct(row);
        _guest?.Look(row);
        var silent = direct.IsOn;
        var at = _columns;
        for (var i = 0; i < _vectors.Length; i++)
        {
            var grade = _first ? VectorGrade.Idle : VectorGrader.Grade(Risen(row, _vectors[i]), _guest?.RateOf(i), interrupts, _complete ? Activity : null, _bypass, direct, _vectors.Length);
            silent |= grade is VectorGrade.UnknownSilent;
            row[at++] = (long)grade;
        }
        var fromGuest = _guest is { IsKnown: true } && (direct.IsOn || _bypass is not null);
        if (!_first)
            Divide(row, interrupts, silent, fromGuest ? _guest : null);
        if (_guest is not null)
            row[at++] = fromGuest ? 1 : 0;
        row[at++] = _exits.Length > 0 ? _ratio.Total : ExitRatio.Unknown;
        row[at] = _exits.Length > 0 ? _ratio.Marginal : ExitRatio.Unknown;
        row[.._columns].CopyTo(_before);
        _first = false;
    }

    // Where interrupts pass the host by, the guest's count is divided by; where it is not known either, there is nothing to divide by.
    private void Divide(Span<long> row, long interrupts, bool silent, GuestEvidence? guest)
    {
        if (guest is null)
        {
            _ratio.Add(Activity.Exits, silent ? null : interrupts, Activity.HaltedMost);
            return;
        }
        var counted = 0L;
        for (var i = 0; i < _vectors.Length; i++)
            counted += guest.RisenOf(i) ?? Risen(row, _vectors[i]);
        _ratio.Add(Activity.Exits, counted, Activity.HaltedMost && guest.Came, interrupts);
    }

    private DirectActivity Direct(Span<long> row)
    {
        var (gates, owners) = (0L, 0);
        foreach (var column in _gates)
        {
            gates += row[column];
            owners += row[column] > 0 ? 1 : 0;
        }
        return owners == 0 ? default
            : new DirectActivity(Risen(row, _directEntries), Risen(row, _directTimes), Risen(row, _resent), gates, Risen(row, _running) * owners / _exits.Length);
    }

    private static int[] VcpuColumns(List<string> keys, string suffix) =>
        [.. Enumerable.Range(0, keys.Count).Where(i => keys[i].StartsWith("kvm.vcpu.", StringComparison.Ordinal) && keys[i].EndsWith(suffix, StringComparison.Ordinal) && keys[i].Count(c => c == '.') == 3)];

    private long Risen(Span<long> row, int column) => _first ? 0 : Math.Max(0, row[column] - _before[column]);

    private long Risen(Span<long> row, int[] columns)
    {
        var sum = 0L;
        foreach (var column in columns)
            sum += Risen(row, column);
        return sum;
    }
}
