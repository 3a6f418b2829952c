using Exitless.Agent.Telemetry;
using Exitless.Contracts;

namespace Exitless.Agent.Tests.Telemetry;

public sealed class SampleRingTests
{
    private readonly SampleRing _ring = new();

    [Fact]
    public void An_hour_is_kept_and_rows_come_back_as_they_went_in()
    {
        var schema = Schema(1, "a", "b");
        for (var i = 0; i < 5000; i++)
            _ring.Add(schema, i * 1000, i % 10 == 0, [i, -i]);
        var rows = TakeAll(0, storedOnly: false);
        Assert.InRange(rows.Count, SampleRing.RowsKept - SampleRing.RowsPerChunk, SampleRing.RowsKept);
        Assert.Equal(4999_000, rows[^1].Row.Time);
        Assert.All(rows, r => Assert.Equal([r.Row.Time / 1000, -r.Row.Time / 1000], r.Row.Values));
        Assert.Equal(rows.Select(r => r.Row.Time), rows.Select(r => r.Row.Time).Distinct().Order());
    }

    [Fact]
    public void Only_stored_rows_are_taken_where_they_are_asked_for()
    {
        for (var i = 0; i < 100; i++)
            _ring.Add(Schema(1, "a"), i, i % 10 == 0, [i]);
        Assert.Equal(Enumerable.Range(0, 10).Select(i => i * 10L), TakeAll(0, storedOnly: true).Select(r => r.Row.Time));
    }

    [Fact]
    public void A_new_schema_begins_new_rows_and_old_ones_keep_theirs()
    {
        _ring.Add(Schema(1, "a"), 1, true, [10]);
        _ring.Add(Schema(2, "a", "b"), 2, true, [11, 5]);
        _ring.Add(Schema(1, "a"), 3, true, [12]);
        var rows = TakeAll(0, storedOnly: false);
        Assert.Equal([1ul, 2ul, 1ul], rows.Select(r => r.Schema));
        Assert.Equal([11, 5], rows[1].Row.Values);
    }

    [Fact]
    public void A_guest_that_changes_its_vectors_every_second_cannot_fill_the_memory()
    {
        for (var i = 0ul; i < 10_000; i++)
            _ring.Add(Schema(i, "a"), (long)i, false, [1]);
        Assert.True(TakeAll(0, storedOnly: false).Count <= 2 * SampleRing.RowsKept / SampleRing.RowsPerChunk);
    }

    [Fact]
    public void A_time_finds_the_first_row_after_it()
    {
        for (var i = 0; i < 200; i++)
            _ring.Add(Schema(1, "a"), 1000 + i, false, [i]);
        Assert.Equal(0, _ring.FirstAfter(0));
        Assert.Equal(100, _ring.FirstAfter(1099));
        Assert.Equal(200, _ring.FirstAfter(5000));
        Assert.Equal(_ring.NextSequence, _ring.FirstAfter(5000));
    }

    [Fact]
    public void A_search_that_ends_before_later_chunks_does_not_step_over_them()
    {
        for (var i = 0; i < 200; i++)
            _ring.Add(Schema(1, "a"), i, false, [i]);
        var sequence = 30L;
        Assert.Null(_ring.Take(ref sequence, before: 30, storedOnly: false));
        Assert.Equal(30, sequence);
    }

    [Fact]
    public void Adding_allocates_nothing_but_a_chunk_a_minute()
    {
        var schema = Schema(1, "a", "b");
        _ring.Add(schema, 0, false, [1, 2]);
        long[] values = [3, 4];
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 1; i < SampleRing.RowsPerChunk; i++)
            _ring.Add(schema, i, false, values);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    private static SampleSchema Schema(ulong id, params string[] keys)
    {
        var schema = new SampleSchema { VmId = "vm", SchemaId = id };
        schema.Series.AddRange(keys.Select(k => new Series { Key = k }));
        return schema;
    }

    private List<(ulong Schema, SampleRow Row)> TakeAll(long from, bool storedOnly)
    {
        var all = new List<(ulong, SampleRow)>();
        while (_ring.Take(ref from, long.MaxValue, storedOnly) is { } taken)
            all.AddRange(taken.Rows.Rows.Select(r => (taken.Rows.SchemaId, r)));
        return all;
    }
}
