using Exitless.Agent.ExitReasons;

namespace Exitless.Agent.Tests.ExitReasons;

public sealed class ReasonRuleTests
{
    private const long Limit = 1000;
    private const int Time = 20;

    [Fact]
    public void It_asks_after_three_seconds_above_the_limit_and_no_sooner()
    {
        var rule = new ReasonRule(Limit, Time);
        Assert.Equal([false, false, false, false, false, true], Take(rule, 1001, 1001, 1000, 1001, 1001, 1001));
        Assert.True(rule.Asks);
    }

    [Fact]
    public void It_ends_after_three_seconds_at_rest_and_not_for_one()
    {
        var rule = new ReasonRule(Limit, Time);
        Take(rule, 5000, 5000, 5000, 0, 5000, 0, 0);
        Assert.True(rule.Asks);
        Take(rule, 0);
        Assert.False(rule.Asks);
    }

    [Fact]
    public void It_ends_after_its_time_and_asks_once_in_ten_times_that()
    {
        var rule = new ReasonRule(Limit, Time);
        var (asked, begun) = (0, 0);
        for (var second = 0; second < 2 + Time * 10 * 3; second++)
        {
            begun += rule.Take(5000) ? 1 : 0;
            asked += rule.Asks ? 1 : 0;
        }
        Assert.Equal((3 * Time, 3), (asked, begun));
    }

    [Fact]
    public void A_guest_that_comes_and_goes_is_not_counted_more_often()
    {
        var rule = new ReasonRule(Limit, Time);
        var begun = Enumerable.Range(0, Time * 10).Count(second => rule.Take(second % 6 < 3 ? 5000 : 0));
        Assert.Equal(1, begun);
    }

    [Fact]
    public void Without_a_limit_it_never_asks()
    {
        var rule = new ReasonRule(0, Time);
        Assert.DoesNotContain(true, Take(rule, 5000, 5000, 5000, 5000));
        Assert.False(rule.Asks);
    }

    private static bool[] Take(ReasonRule rule, params long[] exits) => [.. exits.Select(rule.Take)];
}
