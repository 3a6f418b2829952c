using Exitless.Agent.Telemetry;
using Exitless.Contracts;
using Microsoft.Extensions.Time.Testing;

namespace Exitless.Agent.Tests.Telemetry;

public sealed class SampleFeedTests
{
    private const string Vm = "vm";
    private static readonly SampleSchema Schema = new() { VmId = Vm, SchemaId = 5, Series = { new Series { Key = "k" } } };
    private readonly FakeTimeProvider _time = new(DateTimeOffset.FromUnixTimeMilliseconds(1_000_000));
    private readonly SampleFeed _feed;
    private long _second = 1000;

    public SampleFeedTests()
    {
        _feed = new SampleFeed(new AsyncSignal(), _time);
        _feed.Restart(new Welcome());
    }

    [Fact]
    public void Stored_rows_go_out_once_after_their_schema()
    {
        Seconds(25);
        var sent = Drain();
        Assert.NotNull(sent[0].Schema);
        Assert.Equal([1_000_000, 1_010_000, 1_020_000], Times(sent, RowKind.Stored));
        Assert.Empty(Drain());
        Seconds(10);
        sent = Drain();
        Assert.Equal([1_030_000], Times(sent, RowKind.Stored));
        Assert.DoesNotContain(sent, m => m.Schema is not null);
    }

    [Fact]
    public void A_new_stream_gets_again_what_was_not_acknowledged()
    {
        Seconds(45);
        Drain();
        _feed.Restart(new Welcome { Acknowledged = { new SampleAck { VmId = Vm, Through = 1_010_000 } } });
        var sent = Drain();
        Assert.NotNull(sent[0].Schema);
        Assert.Equal([1_020_000, 1_030_000, 1_040_000], Times(sent, RowKind.Stored));
        _feed.Acknowledge(new SampleAck { VmId = Vm, Through = 1_040_000 });
        _feed.Restart(new Welcome());
        Assert.Empty(Drain());
    }

    [Fact]
    public void A_watched_VM_gets_its_back_fill_first_and_then_every_second()
    {
        Seconds(30);
        Drain();
        _feed.Watch(new WatchVm { VmId = Vm, On = true, BackfillSeconds = 5 });
        var sent = Drain();
        Assert.Equal([1_025_000, 1_026_000, 1_027_000, 1_028_000, 1_029_000], Times(sent, RowKind.Backfill));
        Assert.Empty(Times(sent, RowKind.Live));
        Seconds(2);
        sent = Drain();
        Assert.Equal([1_030_000, 1_031_000], Times(sent, RowKind.Live));
        Assert.Equal([1_030_000], Times(sent, RowKind.Stored));
        Seconds(1);
        Assert.Equal([1_032_000], Times(Drain(), RowKind.Live));
        _feed.Watch(new WatchVm { VmId = Vm });
        Seconds(3);
        Assert.Empty(Drain());
    }

    [Fact]
    public void A_link_that_was_slow_over_several_chunks_loses_no_live_row()
    {
        Seconds(30);
        _feed.Watch(new WatchVm { VmId = Vm, On = true, BackfillSeconds = 5 });
        Seconds(200);   // the chunk of the back-fill is full, and more have come
        var sent = Drain();
        Assert.Equal(5, Times(sent, RowKind.Backfill).Length);
        Assert.Equal(Enumerable.Range(1030, 200).Select(s => s * 1000L), Times(sent, RowKind.Live));
    }

    [Fact]
    public void Nobody_watches_a_new_stream_before_it_says_so()
    {
        Seconds(1);
        _feed.Watch(new WatchVm { VmId = Vm, On = true, BackfillSeconds = 60 });
        _feed.Restart(new Welcome());
        Assert.Empty(Times(Drain(), RowKind.Backfill));
    }

    [Fact]
    public void A_VM_that_is_watched_before_it_starts_is_live_from_its_first_row()
    {
        _feed.Watch(new WatchVm { VmId = Vm, On = true, BackfillSeconds = 60 });
        Seconds(2);
        Assert.Equal([1_000_000, 1_001_000], Times(Drain(), RowKind.Live));
    }

    [Fact]
    public void What_is_older_than_the_ring_is_forgotten_with_the_VM()
    {
        Seconds(1);
        _time.Advance(TimeSpan.FromHours(2));
        _feed.RowsCame();
        Assert.Empty(Drain());
    }

    private void Seconds(int count)
    {
        for (var i = 0; i < count; i++, _second++)
        {
            _feed.RingOf(Vm).Add(Schema, _second * 1000, _second % 10 == 0, [_second]);
            _time.SetUtcNow(DateTimeOffset.FromUnixTimeMilliseconds(_second * 1000 + 500));
        }
    }

    private List<AgentMessage> Drain()
    {
        var sent = new List<AgentMessage>();
        while (_feed.Next() is { } message)
            sent.Add(message);
        return sent;
    }

    private static long[] Times(IEnumerable<AgentMessage> sent, RowKind kind) =>
        [.. sent.Where(m => m.Rows?.Kind == kind).SelectMany(m => m.Rows.Rows).Select(r => r.Time)];
}
