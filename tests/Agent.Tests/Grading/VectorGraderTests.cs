using Exitless.Agent.Grading;

namespace Exitless.Agent.Tests.Grading;

public sealed class VectorGraderTests
{
    private const long Second = 1_000_000_000;
    // Exits, interrupt exits, injections, wake-ups of one second; time halted, time running.
    private static readonly VcpuActivity Busy = new(2200, 1000, 1010, 3, 0, Second);
    private static readonly VcpuActivity Halting = new(2100, 20, 3000, 1000, Second * 8 / 10, Second * 2 / 10);
    private static readonly VcpuActivity Virtualized = new(300, 250, 0, 0, 0, Second);

    [Fact]
    public void Silence_is_idle_where_nothing_can_pass_the_host_by()
    {
        Assert.Equal(VectorGrade.Idle, VectorGrader.Grade(0, null, 0, Busy, bypass: null));
        Assert.Equal(VectorGrade.Idle, VectorGrader.Grade(0, 0, 0, Busy, VectorGrade.Posted));
    }

    [Fact]
    public void Silence_is_unknown_where_interrupts_could_be_posted_and_nobody_counts_in_the_guest() =>
        Assert.Equal(VectorGrade.UnknownSilent, VectorGrader.Grade(0, null, 0, Virtualized, VectorGrade.Posted));

    [Theory]
    [InlineData(0, 10_000, VectorGrade.Posted)]
    [InlineData(200, 10_000, VectorGrade.Posted)]       // while its vCPU was being scheduled
    [InlineData(201, 10_000, VectorGrade.Assisted)]
    [InlineData(10_000, 10_000, VectorGrade.Assisted)]
    [InlineData(10_000, 100, VectorGrade.Assisted)]     // the guest says less than the host saw
    internal void What_the_guest_counts_and_the_host_does_not_was_posted(long host, long guest, VectorGrade grade) =>
        Assert.Equal(grade, VectorGrader.Grade(host, guest, 10_000, Virtualized, VectorGrade.Posted));

    // One second of a vCPU whose three vectors have gates, in direct mode for 95 % of it; of 200 interrupts the host took 8, and raised them again.
    private static readonly DirectActivity Whole = new(Entries: 100, Nanoseconds: Second * 95 / 100, Resent: 8, Vectors: 3, Available: Second);
    private static readonly VcpuActivity Exitless = new(130, 8, 12, 0, 0, Second);

    [Theory]
    [InlineData(0, 200, VectorGrade.Direct)]
    [InlineData(8, 200, VectorGrade.Direct)]
    [InlineData(24, 200, VectorGrade.Direct)]
    [InlineData(200, 200, VectorGrade.Injected)]
    [InlineData(1, 5, VectorGrade.Direct)]              // too few to tell by their share: raised again
    [InlineData(8, 0, VectorGrade.Direct)]              // the guest says less than the host saw: as if it said nothing
    [InlineData(0, 0, VectorGrade.Idle)]
    internal void What_the_guest_counts_and_the_host_hardly_sees_in_direct_mode_was_direct(long host, long guest, VectorGrade grade) =>
        Assert.Equal(grade, VectorGrader.Grade(host, guest, host, Exitless with { Injections = host }, null, Whole, 3));

    [Fact]
    public void Where_nobody_counts_in_the_guest_the_mode_says_it_if_there_is_a_gate_for_every_vector()
    {
        Assert.Equal(VectorGrade.Direct, VectorGrader.Grade(0, null, 8, Exitless, null, Whole, 3));
        Assert.Equal(VectorGrade.Direct, VectorGrader.Grade(8, null, 8, Exitless, null, Whole, 3));
        Assert.Equal(VectorGrade.UnknownSilent, VectorGrader.Grade(0, null, 8, Exitless, null, Whole with { Vectors = 2 }, 3));
        Assert.Equal(VectorGrade.UnknownSilent, VectorGrader.Grade(0, null, 8, Exitless, null, Whole with { Nanoseconds = Second / 2 }, 3));
    }

    [Fact]
    public void A_vector_that_the_host_sees_and_nobody_raises_again_is_injected_beside_direct_ones() =>
        Assert.Equal(VectorGrade.Injected, VectorGrader.Grade(150, null, 150, Busy, null, Whole with { Resent = 0, Vectors = 2 }, 3));

    [Fact]
    public void Outside_of_direct_mode_what_is_raised_again_has_cost_an_exit() =>
        Assert.Equal(VectorGrade.Injected, VectorGrader.Grade(150, null, 150, Exitless, null, Whole with { Nanoseconds = Second / 2, Resent = 140 }, 3));

    [Fact]
    public void Suspended_it_is_graded_as_without() =>
        Assert.Equal((VectorGrade.Idle, VectorGrade.Injected), (VectorGrader.Grade(0, null, 1000, Busy, null, new DirectActivity(), 3), VectorGrader.Grade(1000, null, 1000, Busy, null, new DirectActivity(), 3)));

    [Fact]
    public void Nothing_is_posted_on_a_host_that_cannot() => Assert.Equal(VectorGrade.Idle, VectorGrader.Grade(0, 50, 0, Busy, bypass: null));

    [Fact]
    public void A_vCPU_that_runs_exits_and_one_that_has_halted_is_woken()
    {
        Assert.Equal(VectorGrade.Injected, VectorGrader.Grade(1000, null, 1000, Busy, null));
        Assert.Equal(VectorGrade.Woken, VectorGrader.Grade(1000, null, 1000, Halting, null));
    }

    [Fact]
    public void A_halt_now_and_then_does_not_make_it_woken()
    {
        Assert.Equal(VectorGrade.Injected, VectorGrader.Grade(1000, null, 1000, Halting with { HaltedNanoseconds = Second / 10, RunningNanoseconds = Second * 9 / 10 }, null));
        Assert.Equal(VectorGrade.Injected, VectorGrader.Grade(1000, null, 1000, Halting with { Wakeups = 100 }, null));
    }

    [Fact]
    public void With_a_virtualized_APIC_the_hosts_ticks_leave_it_open_whether_a_slow_vector_cost_exits()
    {
        Assert.Equal(VectorGrade.Assisted, VectorGrader.Grade(1000, null, 1000, Virtualized, VectorGrade.Posted));
        Assert.Equal(VectorGrade.UnknownCause, VectorGrader.Grade(400, null, 400, Virtualized, VectorGrade.Posted));
    }

    [Fact]
    public void Without_the_statistics_there_is_no_guess() => Assert.Equal(VectorGrade.UnknownStatistics, VectorGrader.Grade(10, null, 10, null, null));
}
