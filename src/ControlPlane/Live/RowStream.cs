using Exitless.Contracts;
using Exitless.ControlPlane.Api;
using Google.Protobuf.Collections;

namespace Exitless.ControlPlane.Live;

/// <summary>One sample row in memory. The schema is shared by all rows that have it.</summary>
internal sealed record LiveRow(double Time, IReadOnlyList<SeriesDto> Series, bool Backfill, double[] Values);

/// <summary>The last minutes of one watched VM. Viewers read from it at their own pace: a slow one holds up nobody, and needs no queue of its own.</summary>
internal sealed class RowStream(Guid vmId, Guid hostId, bool linkUp)
{
    private readonly Lock _lock = new();
    private readonly LinkedList<LiveRow> _rows = new();
    private readonly List<RowViewer> _viewers = [];
    private IReadOnlyList<SeriesDto>? _series;
    private bool _linkUp = linkUp;

    public Guid VmId { get; } = vmId;

    public Guid HostId { get; } = hostId;

    public int Viewers
    {
        get
        {
            lock (_lock)
                return _viewers.Count;
        }
    }

    public RowViewer Join(TimeSpan backfill, Action leave)
    {
        var viewer = new RowViewer(this, backfill, leave);
        lock (_lock)
            _viewers.Add(viewer);
        return viewer;
    }

    /// <summary>One viewer fewer; how many are left.</summary>
    public int Leave()
    {
        lock (_lock)
        {
            _viewers.RemoveAll(v => v.HasLeft);
            return _viewers.Count;
        }
    }

    /// <summary>Adds rows that are newer than all that are here; after a link was lost the agent sends some of them again.</summary>
    public void Add(IReadOnlyList<SeriesDto> series, bool backfill, RepeatedField<SampleRow> rows)
    {
        lock (_lock)
        {
            if (_series is null || !(ReferenceEquals(_series, series) || _series.SequenceEqual(series)))
                _series = series;
            foreach (var row in rows)
            {
                if (row.Values.Count != _series.Count || row.Time <= (_rows.Last?.Value.Time ?? double.MinValue))
                    continue;
                var values = new double[row.Values.Count];
                for (var i = 0; i < values.Length; i++)
                    values[i] = row.Values[i];
                _rows.AddLast(new LiveRow(row.Time, _series, backfill, values));
            }
            var oldest = (_rows.Last?.Value.Time ?? 0) - LiveStreams.Backfill.TotalMilliseconds;
            while (_rows.First is { } first && first.Value.Time < oldest)
                _rows.RemoveFirst();
            Wake();
        }
    }

    public void SetLink(bool up)
    {
        lock (_lock)
        {
            _linkUp = up;
            Wake();
        }
    }

    /// <summary>Rows after a time, oldest first, and whether the link is up.</summary>
    public (List<LiveRow> Rows, bool LinkUp) After(double? time, TimeSpan backfill)
    {
        lock (_lock)
        {
            var after = time ?? (_rows.Last?.Value.Time ?? 0) - backfill.TotalMilliseconds - 1;
            var rows = new List<LiveRow>();
            for (var node = _rows.Last; node is not null && node.Value.Time > after; node = node.Previous)
                rows.Add(node.Value);
            rows.Reverse();
            return (rows, _linkUp);
        }
    }

    private void Wake()
    {
        foreach (var viewer in _viewers)
            viewer.Wake();
    }
}
