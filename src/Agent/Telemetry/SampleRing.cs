using Exitless.Contracts;

namespace Exitless.Agent.Telemetry;

/// <summary>
/// The last hour of one VM's samples: rows in chunks of a minute, the oldest chunk used again for the newest. A row has a sequence number that never comes twice;
/// a change of schema begins a new chunk. One thread adds, another takes.
/// </summary>
internal sealed class SampleRing
{
    public const int RowsKept = 3600;
    public const int RowsPerChunk = 60;
    // A guest that turns its vectors on and off all the time makes many short chunks; they must not cost more than twice what full ones do.
    private const int MaxChunks = 2 * RowsKept / RowsPerChunk;
    private readonly Lock _gate = new();
    private readonly LinkedList<Chunk> _chunks = new();
    private Chunk? _spare;
    private long _nextSequence;
    private int _rows;

    /// <summary>The sequence number of the row that comes next.</summary>
    public long NextSequence
    {
        get
        {
            lock (_gate)
                return _nextSequence;
        }
    }

    /// <summary>The time of the newest row, Unix milliseconds; 0: there is none.</summary>
    public long NewestTime
    {
        get
        {
            lock (_gate)
                return _chunks.Last is { Value: { Count: > 0 } chunk } ? chunk.Times[chunk.Count - 1] : 0;
        }
    }

    /// <param name="stored">The row is one of those that the database gets.</param>
    public void Add(SampleSchema schema, long time, bool stored, ReadOnlySpan<long> values)
    {
        lock (_gate)
        {
            var chunk = _chunks.Last?.Value;
            if (chunk is null || chunk.Count == RowsPerChunk || chunk.Schema.SchemaId != schema.SchemaId)
                chunk = Begin(schema);
            var row = chunk.Count;
            chunk.Times[row] = time;
            chunk.Stored[row] = stored;
            values.CopyTo(chunk.Values.AsSpan(row * values.Length));
            chunk.Count++;
            _rows++;
            _nextSequence++;
        }
    }

    /// <summary>The sequence number of the first row later than a time.</summary>
    public long FirstAfter(long time)
    {
        lock (_gate)
        {
            foreach (var chunk in _chunks)
            {
                for (var row = 0; row < chunk.Count; row++)
                {
                    if (chunk.Times[row] > time)
                        return chunk.FirstSequence + row;
                }
            }
            return _nextSequence;
        }
    }

    /// <summary>The next rows of one schema from a sequence number on.</summary>
    /// <param name="sequence">Moves behind the last row looked at.</param>
    /// <param name="before">Rows from this one on are not looked at.</param>
    /// <returns>Null when there is none.</returns>
    public (SampleSchema Schema, SampleRows Rows)? Take(ref long sequence, long before, bool storedOnly)
    {
        lock (_gate)
        {
            foreach (var chunk in _chunks)
            {
                if (chunk.FirstSequence >= before)
                    break;   // or the line below would step over rows that a later call may take
                sequence = Math.Max(sequence, chunk.FirstSequence);   // older rows are gone
                var end = Math.Min(chunk.FirstSequence + chunk.Count, before);
                if (sequence >= end)
                    continue;
                var rows = new SampleRows { VmId = chunk.Schema.VmId, SchemaId = chunk.Schema.SchemaId };
                for (; sequence < end; sequence++)
                {
                    var row = (int)(sequence - chunk.FirstSequence);
                    if (!storedOnly || chunk.Stored[row])
                        rows.Rows.Add(chunk.Row(row));
                }
                if (rows.Rows.Count > 0)
                    return (chunk.Schema, rows);
            }
            return null;
        }
    }

    private Chunk Begin(SampleSchema schema)
    {
        while (_chunks.First is { Value: var oldest } && (_rows - oldest.Count >= RowsKept - RowsPerChunk || _chunks.Count >= MaxChunks))
        {
            _chunks.RemoveFirst();
            _rows -= oldest.Count;
            _spare = oldest;
        }
        var length = schema.Series.Count * RowsPerChunk;
        var chunk = _spare?.Values.Length == length ? _spare : new Chunk(length);
        _spare = null;
        (chunk.Schema, chunk.FirstSequence, chunk.Count) = (schema, _nextSequence, 0);
        _chunks.AddLast(chunk);
        return chunk;
    }

    private sealed class Chunk(int length)
    {
        public SampleSchema Schema { get; set; } = null!;

        public long FirstSequence { get; set; }

        public int Count { get; set; }

        public long[] Times { get; } = new long[RowsPerChunk];

        public bool[] Stored { get; } = new bool[RowsPerChunk];

        public long[] Values { get; } = new long[length];

        public SampleRow Row(int row)
        {
            var sample = new SampleRow { Time = Times[row] };
            var columns = Schema.Series.Count;
            sample.Values.Capacity = columns;
            foreach (var value in Values.AsSpan(row * columns, columns))
                sample.Values.Add(value);
            return sample;
        }
    }
}
