using Exitless.Agent.Grading;
using Exitless.Contracts;

namespace Exitless.Agent.Tests.Grading;

/// <summary>What the guest's word makes of grades and ratios, from recorded counts: one vCPU, two vectors, of which the guest has told.</summary>
public sealed class GuestEvidenceTests
{
    private const long Second = 1_000_000_000;
    private static readonly string[] Keys =
    [
        "kvm.vcpu.0.exits", "kvm.vcpu.0.irq_exits", "kvm.vcpu.0.irq_injections", "kvm.vcpu.0.halt_wakeup", "kvm.vcpu.0.halt_successful_poll", "kvm.vcpu.0.halt_wait_ns", "kvm.vcpu.0.halt_poll_success_ns",
        "kvm.vcpu.0.eli_direct_entries", "kvm.vcpu.0.eli_direct_ns", "kvm.vcpu.0.eli_resent", "kvm.vcpu.0.eli_vectors",
        "vfio.0000:01:10.0.msix.0", "vfio.0000:01:10.0.msix.1", "guest.0000:01:10.0.msix.0", "guest.0000:01:10.0.msix.1", "guest.reports", "guest.age_ms", "process.cpu_guest_ns", "process.cpu_host_ns",
    ];
    private readonly SampleSchema _schema = new();
    private readonly long[] _row;
    private readonly VmGrader _grader;

    private GuestEvidenceTests(VectorGrade? bypass)
    {
        _schema.Series.AddRange(Keys.Select(key => new Series { Key = key }));
        _grader = new VmGrader(_schema, bypass, new ExitRatio());
        Assert.Equal(["grade.0000:01:10.0.msix.0", "grade.0000:01:10.0.msix.1", "grade.from_guest", "grade.exits_per_1000_interrupts", "grade.marginal_exits_per_1000_interrupts"], _schema.Series.Skip(Keys.Length).Select(s => s.Key));
        _row = new long[_schema.Series.Count];
        Set("guest.age_ms", -1);
    }

    public GuestEvidenceTests()
        : this(VectorGrade.Posted)
    {
    }

    private VectorGrade Grade0 => (VectorGrade)_row[Keys.Length];

    private VectorGrade Grade1 => (VectorGrade)_row[Keys.Length + 1];

    private bool FromGuest => _row[Keys.Length + 2] == 1;

    private long Ratio => _row[Keys.Length + 3];

    [Fact]
    public void On_a_host_that_posts_silence_is_told_apart_by_the_guests_count()
    {
        // Exits are the host's ticks. Before anybody reports, nothing can be told, and there is nothing to divide by.
        Tick();
        Tick(exits: 20);
        Assert.Equal((VectorGrade.UnknownSilent, VectorGrade.UnknownSilent, false, ExitRatio.Unknown), (Grade0, Grade1, FromGuest, Ratio));
        // The first report is what later ones are compared with.
        Tick(exits: 20, guest: 10_000, age: 300);
        Assert.Equal((VectorGrade.UnknownSilent, false), (Grade1, FromGuest));
        Tick(exits: 20, guest: 10_000, age: 300);
        Assert.Equal((VectorGrade.Idle, VectorGrade.Posted, true), (Grade0, Grade1, FromGuest));
        Assert.Equal(ExitRatio.Unknown, Ratio);   // some of the ten seconds are not counted
        for (var i = 0; i < ExitRatio.Seconds; i++)
            Tick(exits: 20, guest: 10_000, age: 300);
        Assert.Equal(20 * 1000 / 10_000, Ratio);
        Tick(exits: 20, guest: 0, age: 300);
        Assert.Equal((VectorGrade.Idle, true), (Grade1, FromGuest));
    }

    [Fact]
    public void A_second_without_a_report_is_told_by_the_one_before_until_that_is_old()
    {
        Tick(guest: 10_000, age: 100);
        Tick(guest: 10_000, age: 100);
        Tick(guest: 10_000, age: 100);
        Tick(age: 1100);
        Assert.Equal((VectorGrade.Posted, true), (Grade1, FromGuest));
        Tick(guest: 20_000, age: 100);   // of two seconds
        Assert.Equal((VectorGrade.Posted, true), (Grade1, FromGuest));
        Tick(age: 1100);
        Tick(age: 2999);
        Assert.Equal((VectorGrade.Posted, true), (Grade1, FromGuest));
        Tick(age: 3000);
        Assert.Equal((VectorGrade.UnknownSilent, false, ExitRatio.Unknown), (Grade1, FromGuest, Ratio));
        Tick(guest: 50_000, age: 100);   // whose seconds those were nobody knows
        Assert.Equal((VectorGrade.UnknownSilent, false), (Grade1, FromGuest));
        Tick(guest: 10_000, age: 100);
        Assert.Equal((VectorGrade.Posted, true), (Grade1, FromGuest));
    }

    [Fact]
    public void One_interrupt_in_a_report_that_comes_late_is_no_idleness()
    {
        Tick(age: 100, guest: 1);
        Tick(age: 100, guest: 1);
        Tick(age: 1100);
        Tick(age: 2100);
        Tick(age: 100, guest: 1);
        Assert.Equal(VectorGrade.Posted, Grade1);
    }

    [Fact]
    public void In_direct_mode_the_guests_count_is_divided_by()
    {
        var test = new GuestEvidenceTests(bypass: null);
        test.Set("kvm.vcpu.0.eli_vectors", 2);
        for (var i = 0; i <= ExitRatio.Seconds + 1; i++)
            test.Tick(exits: 50, guest: 1000, host: 20, age: 200, direct: true);
        Assert.Equal((VectorGrade.Idle, VectorGrade.Direct, true, 50), (test.Grade0, test.Grade1, test.FromGuest, test.Ratio));
        test.Tick(exits: 50, guest: 0, age: 200, direct: true);
        Assert.Equal(VectorGrade.Idle, test.Grade1);
        for (var i = 0; i < 3; i++)
            test.Tick(exits: 50, age: 3000 + i, direct: true);
        // By the mode again, as without a reporter.
        Assert.Equal((VectorGrade.Direct, VectorGrade.Direct, false, ExitRatio.Unknown), (test.Grade0, test.Grade1, test.FromGuest, test.Ratio));
    }

    [Fact]
    public void A_guest_that_says_less_than_the_host_saw_does_not_make_exits_dearer()
    {
        for (var i = 0; i <= ExitRatio.Seconds + 1; i++)
            Tick(exits: 1000, guest: 1, host: 1000, age: 200);
        Assert.Equal((VectorGrade.UnknownCause, true, 1000), (Grade1, FromGuest, Ratio));
    }

    [Fact]
    public void Where_the_host_sees_all_the_guests_word_changes_nothing()
    {
        var test = new GuestEvidenceTests(bypass: null);
        for (var i = 0; i <= ExitRatio.Seconds + 1; i++)
            test.Tick(exits: 2000, guest: 1_000_000, host: 1000, age: 200, injections: 1000);
        Assert.Equal((VectorGrade.Idle, VectorGrade.Injected, false, 2000), (test.Grade0, test.Grade1, test.FromGuest, test.Ratio));
    }

    [Fact]
    public void A_second_allocates_nothing()
    {
        Tick(guest: 1, age: 1);
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 100; i++)
            Tick(guest: 1, age: 1);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    /// <param name="guest">By how much the guest's count of vector 1 grows; null: no report comes.</param>
    private void Tick(long exits = 0, long? guest = null, long host = 0, long age = -1, long injections = 0, bool direct = false)
    {
        Add("kvm.vcpu.0.exits", exits);
        Add("kvm.vcpu.0.irq_exits", exits);
        Add("kvm.vcpu.0.irq_injections", injections);
        Add("kvm.vcpu.0.eli_direct_entries", direct ? 100 : 0);
        Add("kvm.vcpu.0.eli_direct_ns", direct ? Second : 0);
        Add("kvm.vcpu.0.eli_resent", direct ? host : 0);
        Add("process.cpu_guest_ns", Second);
        Add("vfio.0000:01:10.0.msix.1", host);
        Add("guest.0000:01:10.0.msix.1", guest ?? 0);
        Add("guest.reports", guest is null ? 0 : 1);
        Set("guest.age_ms", age);
        _grader.Grade(_row);
    }

    private void Add(string key, long value) => _row[Array.IndexOf(Keys, key)] += value;

    private void Set(string key, long value) => _row[Array.IndexOf(Keys, key)] = value;
}
