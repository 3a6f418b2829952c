using Exitless.Agent.Grading;
using Exitless.Contracts;

namespace Exitless.Agent.Tests.Grading;

public sealed class VmGraderTests
{
    private static readonly string[] Statistics = ["exits", "irq_exits", "irq_injections", "halt_wakeup", "halt_successful_poll", "halt_wait_ns", "halt_poll_success_ns"];

    [Fact]
    public void It_adds_its_columns_and_grades_every_vector_from_the_sum_over_the_vCPUs()
    {
        var schema = SchemaOf(vcpus: 2, vectors: 2);
        var grader = new VmGrader(schema, null, new ExitRatio());
        Assert.Equal(
            ["grade.0000:01:10.0.msix.0", "grade.0000:01:10.0.msix.1", "grade.exits_per_1000_interrupts", "grade.marginal_exits_per_1000_interrupts"],
            schema.Series.Skip(18).Select(s => s.Key));
        var row = new long[schema.Series.Count];
        grader.Grade(row);
        Assert.Equal([0, 0, ExitRatio.Unknown, ExitRatio.Unknown], row[18..]);

        // vCPU 0 woke for each of 100 interrupts of vector 1, vCPU 1 did nothing.
        Add(row, [300, 5, 110, 60, 40, 700, 90, 20, 0, 0, 0, 0, 0, 0, 0, 100, 50, 50]);
        grader.Grade(row);
        Assert.Equal([(long)VectorGrade.Idle, (long)VectorGrade.Woken, 3200, ExitRatio.Unknown], row[18..]);

        // Now both vectors, and the vCPUs never halt.
        Add(row, [900, 300, 330, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 200, 800, 200]);
        grader.Grade(row);
        Assert.Equal([(long)VectorGrade.Injected, (long)VectorGrade.Injected, 1220 * 1000 / 400, ExitRatio.Unknown], row[18..]);
    }

    [Fact]
    public void A_KVM_without_a_statistic_is_said_so()
    {
        var schema = SchemaOf(vcpus: 1, vectors: 1);
        schema.Series.RemoveAt(2);   // irq_injections
        var grader = new VmGrader(schema, null, new ExitRatio());
        var row = new long[schema.Series.Count];
        grader.Grade(row);
        row[6] += 10;
        grader.Grade(row);
        Assert.Equal((long)VectorGrade.UnknownStatistics, row[9]);
    }

    [Fact]
    public void With_direct_interrupts_every_vector_is_direct_and_nothing_is_divided_by_what_nobody_counted()
    {
        var schema = SchemaOf(vcpus: 1, vectors: 3);
        string[] direct = ["eli_direct_entries", "eli_direct_ns", "eli_resent", "eli_vectors"];
        schema.Series.AddRange(direct.Select(name => new Series { Key = $"kvm.vcpu.0.{name}" }));
        var grader = new VmGrader(schema, null, new ExitRatio());
        var row = new long[schema.Series.Count];
        grader.Grade(row);
        const int Gates = 15, Grades = 16;

        // Injection, as long as there is no gate.
        Add(row, [1000, 400, 420, 0, 0, 0, 0, 0, 400, 0, 950, 50]);
        grader.Grade(row);
        Assert.Equal([0, (long)VectorGrade.Injected, 0, 2500, ExitRatio.Unknown], row[Grades..]);

        // Then direct: the host took 8, which were raised again.
        row[Gates] = 3;
        Add(row, [120, 8, 10, 0, 0, 0, 0, 1, 7, 0, 950, 50, 100, 940, 8]);
        grader.Grade(row);
        Assert.Equal([(long)VectorGrade.Direct, (long)VectorGrade.Direct, (long)VectorGrade.Direct, ExitRatio.Unknown, ExitRatio.Unknown], row[Grades..]);

        // Suspended: the ratio is known again when the ten seconds are all counted.
        row[Gates] = 0;
        for (var second = 0; second < ExitRatio.Seconds; second++)
        {
            Add(row, [1000, 400, 420, 0, 0, 0, 0, 0, 400, 0, 950, 50]);
            grader.Grade(row);
            Assert.Equal(second < ExitRatio.Seconds - 1 ? ExitRatio.Unknown : 2500, row[^2]);
        }
    }

    [Fact]
    public void A_second_allocates_nothing()
    {
        var schema = SchemaOf(vcpus: 8, vectors: 8);
        var grader = new VmGrader(schema, null, new ExitRatio());
        var row = new long[schema.Series.Count];
        grader.Grade(row);
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 100; i++)
            grader.Grade(row);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    [Fact]
    public void The_marginal_ratio_leaves_out_what_the_guest_costs_at_rest()
    {
        var ratio = new ExitRatio();
        for (var second = 0; second < 20; second++)
            ratio.Add(5000, 0, halted: false);   // it boots
        for (var second = 0; second < 20; second++)
            ratio.Add(50, 0, halted: true);
        Assert.Equal((ExitRatio.Unknown, ExitRatio.Unknown), (ratio.Total, ratio.Marginal));
        for (var second = 0; second < 10; second++)
            ratio.Add(250, 100, halted: true);
        Assert.Equal((2500, 2000), (ratio.Total, ratio.Marginal));
        for (var second = 0; second < 10; second++)
            ratio.Add(10, 100, halted: false);
        Assert.Equal((100, 0), (ratio.Total, ratio.Marginal));
    }

    private static SampleSchema SchemaOf(int vcpus, int vectors)
    {
        var schema = new SampleSchema();
        foreach (var vcpu in Enumerable.Range(0, vcpus))
            schema.Series.AddRange(Statistics.Select(name => new Series { Key = $"kvm.vcpu.{vcpu}.{name}" }));
        foreach (var vector in Enumerable.Range(0, vectors))
            schema.Series.Add(new Series { Key = $"vfio.0000:01:10.0.msix.{vector}" });
        schema.Series.Add(new Series { Key = "process.cpu_guest_ns" });
        schema.Series.Add(new Series { Key = "process.cpu_host_ns" });
        return schema;
    }

    private static void Add(long[] row, long[] risen)
    {
        for (var i = 0; i < risen.Length; i++)
            row[i] += risen[i];
    }
}
