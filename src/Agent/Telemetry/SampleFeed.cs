using Exitless.Agent.Link;
using Exitless.Contracts;

namespace Exitless.Agent.Telemetry;

/// <summary>
/// Sends what the rings have: every stored row that is not acknowledged, and for a watched VM first the back-fill and then each row as it comes. All of it is read
/// from the ring when the stream can take it, so a slow or broken link costs nothing but the age of the rows.
/// </summary>
internal sealed class SampleFeed(AsyncSignal signal, TimeProvider time) : ILinkSource
{
    // Rows that a viewer may be behind; the back-fill is taken at once.
    private const int MostUntaken = 30;
    private readonly Lock _gate = new();
    private readonly Dictionary<string, Track> _tracks = new(StringComparer.Ordinal);
    private readonly HashSet<ulong> _schemasSent = [];
    private int _turn;

    public SampleRing RingOf(string vmId)
    {
        lock (_gate)
        {
            if (!_tracks.TryGetValue(vmId, out var track))
                _tracks[vmId] = track = new Track();
            return track.Ring;
        }
    }

    public void Forget(string vmId)
    {
        lock (_gate)
            _tracks.Remove(vmId);
    }

    public void RowsCame()
    {
        lock (_gate)
        {
            // A VM that has not run for as long as the ring reaches back has nothing to tell.
            var oldest = time.GetUtcNow().ToUnixTimeMilliseconds() - SampleRing.RowsKept * 1000L;
            foreach (var (vmId, track) in _tracks)
            {
                if (track.Ring.NewestTime is > 0 and var newest && newest < oldest)
                    _tracks.Remove(vmId);
            }
        }
        signal.Set();
    }

    public void Watch(WatchVm watch)
    {
        lock (_gate)
        {
            if (!_tracks.TryGetValue(watch.VmId, out var track))
                _tracks[watch.VmId] = track = new Track();
            track.Watched = watch.On;
            if (watch.On)
            {
                track.Next = track.Ring.FirstAfter(time.GetUtcNow().ToUnixTimeMilliseconds() - watch.BackfillSeconds * 1000L);
                track.LiveFrom = track.Ring.NextSequence;
            }
        }
        signal.Set();
    }

    /// <summary>True while somebody watches the VM and its rows are taken: over a link that is lost nobody sees anything.</summary>
    public bool IsLookedAt(string vmId)
    {
        lock (_gate)
            return _tracks.TryGetValue(vmId, out var track) && track.Watched && track.Ring.NextSequence - track.Next <= MostUntaken;
    }

    public void Acknowledge(SampleAck ack)
    {
        lock (_gate)
        {
            if (_tracks.TryGetValue(ack.VmId, out var track))
                track.Acknowledged = Math.Max(track.Acknowledged, ack.Through);
        }
    }

    public void Restart(Welcome welcome)
    {
        foreach (var ack in welcome.Acknowledged)
            Acknowledge(ack);
        lock (_gate)
        {
            _schemasSent.Clear();
            foreach (var track in _tracks.Values)
            {
                track.Watched = false;   // whoever watches says so again on the new stream
                track.NextStored = track.Ring.FirstAfter(track.Acknowledged);
            }
        }
    }

    public AgentMessage? Next()
    {
        lock (_gate)
        {
            // Each VM in its turn, so that the back-fill of one does not hold up the others.
            var tracks = _tracks.Values.ToArray();
            for (var i = 0; i < tracks.Length; i++)
            {
                var track = tracks[(_turn + i) % tracks.Length];
                if (NextOf(track) is not { } message)
                    continue;
                _turn = (_turn + i + (message.Schema is null ? 1 : 0)) % tracks.Length;
                return message;
            }
            return null;
        }
    }

    private AgentMessage? NextOf(Track track)
    {
        if (track.Watched)
        {
            var next = track.Next;
            if (next < track.LiveFrom && track.Ring.Take(ref next, track.LiveFrom, storedOnly: false) is { } old)
                return Send(old, RowKind.Backfill, () => track.Next = next);
            next = Math.Max(next, track.LiveFrom);
            if (track.Ring.Take(ref next, long.MaxValue, storedOnly: false) is { } live)
                return Send(live, RowKind.Live, () => track.Next = next);
        }
        var stored = track.NextStored;
        var found = track.Ring.Take(ref stored, long.MaxValue, storedOnly: true);
        if (found is { } due)
            return Send(due, RowKind.Stored, () => track.NextStored = stored);
        track.NextStored = stored;
        return null;
    }

    private AgentMessage Send((SampleSchema Schema, SampleRows Rows) found, RowKind kind, Action taken)
    {
        if (_schemasSent.Add(found.Schema.SchemaId))
            return new AgentMessage { Schema = found.Schema };   // the rows are taken again at the next turn
        taken();
        found.Rows.Kind = kind;
        return new AgentMessage { Rows = found.Rows };
    }

    private sealed class Track
    {
        public SampleRing Ring { get; } = new();

        public long Acknowledged { get; set; }

        public long NextStored { get; set; }

        public bool Watched { get; set; }

        public long Next { get; set; }

        public long LiveFrom { get; set; }
    }
}
