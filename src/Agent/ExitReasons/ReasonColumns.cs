using System.Globalization;
using Exitless.Contracts;
using Exitless.Linux;
using Exitless.Linux.Procfs;

namespace Exitless.Agent.ExitReasons;

/// <summary>
/// A VM's exits by true reason as columns of a row, while they are counted: <c>exit.vcpu.‹n›.‹reason›</c>, and <c>exit.vcpu.‹n›.msr_write.‹msr›</c> for those of them that are accesses to an MSR of
/// interest. A reason's column comes when it is first seen; all go when nobody looks any more.
/// </summary>
internal sealed class ReasonColumns(ExitTrace trace, HostRoot root, int processId) : IDisposable
{
    private readonly Dictionary<ExitKey, int> _columnOf = [];
    private readonly Dictionary<string, int> _byName = new(StringComparer.Ordinal);
    private readonly List<string> _names = [];
    private Dictionary<int, int> _vcpus = [];   // by thread
    private bool _refused;

    /// <summary>How many there are.</summary>
    public int Count => _names.Count;

    /// <summary>Counts from now on, or no more.</summary>
    /// <param name="look">Somebody looks.</param>
    /// <returns>Why it cannot be counted, once; else null.</returns>
    public string? Look(bool look)
    {
        if (!look)
        {
            trace.Leave(processId);
            _refused = false;
            return null;
        }
        if (_refused || trace.Follows(processId))
            return null;
        _vcpus = VcpuThreads.Of(root, processId).ToDictionary(t => t.Thread, t => t.Vcpu);
        if (_vcpus.Count == 0)
            return null;   // it has just been started
        _refused = !trace.TryFollow(processId, [.. _vcpus.Keys]);
        return _refused ? trace.Refusal : null;
    }

    /// <summary>Takes what the trace has read.</summary>
    /// <returns>True if the columns are others than before.</returns>
    public bool Read()
    {
        if (!trace.Follows(processId))
        {
            var had = _names.Count > 0;
            _columnOf.Clear();
            _byName.Clear();
            _names.Clear();
            return had;
        }
        var before = _names.Count;
        foreach (var (key, _) in trace.Counts)
        {
            if (_columnOf.ContainsKey(key) || !_vcpus.TryGetValue(key.Thread, out var vcpu))
                continue;
            var name = string.Create(CultureInfo.InvariantCulture, $"exit.vcpu.{vcpu}.{key.Name}");
            if (!_byName.TryGetValue(name, out var column))
            {
                _byName[name] = column = _names.Count;
                _names.Add(name);
            }
            _columnOf[key] = column;
        }
        return _names.Count != before;
    }

    public void AddTo(SampleSchema schema)
    {
        foreach (var name in _names)
            schema.Series.Add(new Series { Key = name, Kind = SeriesKind.Counter, Unit = "exits" });
    }

    /// <summary>Writes the counts as last read, as many as there are columns.</summary>
    public void Write(Span<long> row)
    {
        row[.._names.Count].Clear();
        foreach (var (key, column) in _columnOf)
            row[column] += trace.Counts.GetValueOrDefault(key);
    }

    public void Dispose() => trace.Leave(processId);
}
