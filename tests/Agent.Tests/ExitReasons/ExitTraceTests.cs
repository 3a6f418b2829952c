using Exitless.Agent.ExitReasons;
using Exitless.Agent.Watching;
using Exitless.Contracts;
using Exitless.Linux;
using ForeignVm = Exitless.Agent.Watching.ForeignVm;

namespace Exitless.Agent.Tests.ExitReasons;

/// <summary>
/// Against files in the form of tracefs. What the kernel makes of the triggers is tried in the lab (tests/EndToEnd/ReasonTests.cs).
/// </summary>
public sealed class ExitTraceTests : IDisposable
{
    private const int Process = 412;
    private readonly TemporaryFolder _folder = new();
    private readonly string _instance = $"sys/kernel/tracing/instances/exitless-{Environment.ProcessId}";

    public ExitTraceTests()
    {
        foreach (var file in (string[])["buffer_size_kb", "set_event_pid", "events/kvm/kvm_exit/trigger", "events/kvm/kvm_exit/hist", "events/kvm/kvm_msr/trigger", "events/kvm/kvm_msr/hist"])
            Write($"{_instance}/{file}", "");
        Write($"proc/{Process}/task/412/comm", "exitless-vmm\n");
        Write($"proc/{Process}/task/420/comm", "vcpu 0\n");
        Write($"proc/{Process}/task/421/comm", "vcpu 1\n");
    }

    private HostRoot Root => new(_folder.Path);

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(1, 1, "external_interrupt")]
    [InlineData(2, 0x60, "external_interrupt")]
    [InlineData(1, 12, "halt")]
    [InlineData(2, 0x78, "halt")]
    [InlineData(1, 7, "interrupt_window")]
    [InlineData(2, 0x64, "interrupt_window")]
    [InlineData(1, 10, "cpuid")]
    [InlineData(2, 0x72, "cpuid")]
    [InlineData(1, 48, "nested_page_fault")]
    [InlineData(2, 0x400, "nested_page_fault")]
    [InlineData(1, 32, "msr_write")]
    [InlineData(2, 0x7c, "msr")]
    [InlineData(1, 52, "preemption_timer")]
    [InlineData(2, 0x402, "avic_unaccelerated_access")]
    [InlineData(1, 0x8000_0021, "invalid_state")]
    [InlineData(2, 0xffff_ffff, "invalid_state")]
    [InlineData(2, 0x10, "cr_access")]
    [InlineData(1, 71, "vmx_0x47")]
    [InlineData(2, 0x500, "svm_0x500")]
    [InlineData(3, 5, "isa_3_0x5")]
    public void A_reason_bears_one_name_whichever_processor_gives_it(long isa, long reason, string name) => Assert.Equal(name, ReasonNames.Of(isa, reason));

    [Fact]
    public void MSRs_of_no_interest_do_not_reach_the_histogram()
    {
        Assert.Equal("x2apic_eoi", MsrNames.Of(0x80b));
        Assert.Equal("x2apic_other", MsrNames.Of(0x80d));
        Assert.Contains("ecx == 0x6e0", MsrNames.Filter, StringComparison.Ordinal);
        Assert.Contains("(ecx >= 0x800 && ecx <= 0x8ff)", MsrNames.Filter, StringComparison.Ordinal);
        Assert.DoesNotContain("ecx == 0x80b", MsrNames.Filter, StringComparison.Ordinal);
    }

    [Fact]
    public void The_triggers_are_set_for_the_threads_of_the_first_VM_and_left_with_the_last()
    {
        using var trace = new ExitTrace(Root);
        Assert.True(trace.TryFollow(Process, [420, 421]));
        Assert.Equal("420 421\n", Read("set_event_pid"));
        Assert.StartsWith("hist:keys=common_pid,isa,exit_reason", Read("events/kvm/kvm_exit/trigger"), StringComparison.Ordinal);
        Assert.EndsWith(MsrNames.Filter, Read("events/kvm/kvm_msr/trigger"), StringComparison.Ordinal);
        Assert.True(trace.TryFollow(500, [501]));
        Assert.Equal("420 421 501\n", Read("set_event_pid"));
        trace.Leave(Process);
        Assert.Equal("501\n", Read("set_event_pid"));
        Assert.Equal((false, true), (trace.Follows(Process), trace.Follows(500)));
    }

    [Fact]
    public void Counts_become_columns_by_vCPU_and_reason_while_somebody_looks()
    {
        using var trace = new ExitTrace(Root);
        using var columns = new ReasonColumns(trace, Root, Process);
        Assert.False(columns.Read());
        Assert.Null(columns.Look(true));
        Count("kvm_exit", "412, isa: 2, exit_reason: 96, 9", "420, isa: 2, exit_reason: 124, 50", "420, isa: 2, exit_reason: 0, 2", "420, isa: 2, exit_reason: 16, 3", "421, isa: 2, exit_reason: 120, 7");
        Count("kvm_msr", "420, ecx: 2059, write: 1, 30");
        trace.Read();
        Assert.True(columns.Read());
        Assert.Equal(
            [("exit.vcpu.0.msr", 50), ("exit.vcpu.0.cr_access", 5), ("exit.vcpu.1.halt", 7), ("exit.vcpu.0.msr_write.x2apic_eoi", 30)], Row(columns));
        trace.Read();
        Assert.False(columns.Read());

        columns.Look(false);
        Assert.True(columns.Read());
        Assert.Equal((0, false), (columns.Count, trace.Follows(Process)));
    }

    [Fact]
    public void A_host_that_does_not_let_us_says_why_once()
    {
        Directory.Delete(Path.Combine(_folder.Path, "sys"), recursive: true);
        using var trace = new ExitTrace(Root);
        using var columns = new ReasonColumns(trace, Root, Process);
        Assert.Contains("CONFIG_HIST_TRIGGERS", columns.Look(true), StringComparison.Ordinal);
        Assert.Null(columns.Look(true));
        trace.Read();
        Assert.False(columns.Read());
        columns.Look(false);
        Assert.NotNull(columns.Look(true));
    }

    [Fact]
    public void What_agents_that_are_gone_have_left_is_taken_away_and_nothing_else()
    {
        Directory.Delete(Path.Combine(_folder.Path, _instance), recursive: true);
        foreach (var name in (string[])["exitless-77", "exitless-78", "exitless-79", "exitless-x", "other"])
            Directory.CreateDirectory(Path.Combine(_folder.Path, "sys/kernel/tracing/instances", name));
        Write("proc/78/comm", "exitless-agent\n");
        Write("proc/79/comm", "bash\n");
        ExitTrace.CleanUp(Root);
        Assert.Equal(["exitless-78", "exitless-x", "other"], Directory.GetDirectories(Path.Combine(_folder.Path, "sys/kernel/tracing/instances")).Select(d => Path.GetFileName(d)!).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void The_seconds_of_a_foreign_VM_are_told_by_reason()
    {
        using var trace = new ExitTrace(Root);
        using var reasons = new ForeignReasons(trace, Root, new ForeignVm(Process, "web", "qemu", "", [420, 421], []));
        Assert.Null(reasons.Read());
        Count("kvm_exit", "420, isa: 1, exit_reason: 12, 10", "421, isa: 1, exit_reason: 12, 5");
        trace.Read();
        Assert.Null(reasons.Read());
        Count("kvm_exit", "420, isa: 1, exit_reason: 12, 14", "421, isa: 1, exit_reason: 12, 5", "420, isa: 1, exit_reason: 1, 9");
        trace.Read();
        Assert.Equal([new WatchedReason("external_interrupt", 9), new WatchedReason("halt", 4)], reasons.Read());
    }

    private static List<(string Name, int Count)> Row(ReasonColumns columns)
    {
        var schema = new SampleSchema();
        columns.AddTo(schema);
        var row = new long[columns.Count];
        columns.Write(row);
        return [.. schema.Series.Select((series, i) => (series.Key, (int)row[i]))];
    }

    // "420, isa: 2, exit_reason: 124, 50": the fields behind common_pid, and the hits.
    private void Count(string name, params string[] lines) => Write($"{_instance}/events/kvm/{name}/hist",
        string.Concat(lines.Select(line => line.LastIndexOf(", ", StringComparison.Ordinal) is var at ? $"{{ common_pid: {line[..at]} }} hitcount: {line[(at + 2)..]}\n" : "")));

    private string Read(string file) => File.ReadAllText(Path.Combine(_folder.Path, _instance, file));

    private void Write(string path, string text)
    {
        var full = Path.Combine(_folder.Path, path);
        Directory.CreateDirectory(Path.GetDirectoryName(full)!);
        File.WriteAllText(full, text);
    }
}
