using Exitless.ControlPlane.Link;
using Microsoft.Extensions.Time.Testing;

namespace Exitless.ControlPlane.Tests.Link;

public sealed class SilenceWatchTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(15);
    private readonly FakeTimeProvider _time = new();

    [Fact]
    public void Silence_ends_it_after_the_limit_and_not_before()
    {
        using var watch = new SilenceWatch(Limit, _time);
        _time.Advance(Limit - TimeSpan.FromMilliseconds(1));
        Assert.False(watch.IsOver);
        _time.Advance(TimeSpan.FromMilliseconds(1));
        Assert.True(watch.IsOver);
        Assert.True(watch.Token.IsCancellationRequested);
    }

    [Fact]
    public void Whatever_is_heard_begins_the_limit_anew()
    {
        using var watch = new SilenceWatch(Limit, _time);
        for (var i = 0; i < 10; i++)
        {
            _time.Advance(Limit - TimeSpan.FromSeconds(1));
            watch.Heard();
            watch.Listen();
        }
        _time.Advance(Limit - TimeSpan.FromMilliseconds(1));
        Assert.False(watch.IsOver);
        _time.Advance(TimeSpan.FromMilliseconds(1));
        Assert.True(watch.IsOver);
    }

    [Fact]
    public void While_something_heard_is_being_taken_nobody_is_silent()
    {
        using var watch = new SilenceWatch(Limit, _time);
        watch.Heard();
        _time.Advance(10 * Limit);
        Assert.False(watch.IsOver);
        watch.Listen();
        // Its timer looks at the next limit's end, and then for what is left of the silence.
        _time.Advance(Limit - TimeSpan.FromMilliseconds(1));
        Assert.False(watch.IsOver);
        _time.Advance(TimeSpan.FromMilliseconds(1));
        Assert.True(watch.IsOver);
    }

    [Fact]
    public void Nothing_comes_of_one_that_is_gone()
    {
        var watch = new SilenceWatch(Limit, _time);
        var token = watch.Token;
        watch.Dispose();
        _time.Advance(2 * Limit);
        Assert.False(token.IsCancellationRequested);
    }
}
