using Exitless.Agent.Doctor;
using Exitless.Agent.Grading;
using Exitless.Agent.Tests.Trees;

namespace Exitless.Agent.Tests.Doctor;

public sealed class RecordedMachineTests
{
    public static TheoryData<string> Machines => new(RecordedMachine.Names);

    [Theory]
    [MemberData(nameof(Machines))]
    public void A_recorded_machine_has_every_expected_finding_and_no_other(string name)
    {
        using var machine = new RecordedMachine(name);
        var (exitCode, expected) = RecordedMachine.Expected(name);
        var diagnosis = new HostDoctor(machine.Root, "/var/lib/exitless").Diagnose();
        Assert.Equal(expected.Order(StringComparer.Ordinal), Lines(diagnosis));
        Assert.Equal(exitCode, diagnosis.ExitCode);
    }

    [Theory]
    [MemberData(nameof(Machines))]
    public void A_bundle_is_the_same_machine_again(string name)
    {
        using var machine = new RecordedMachine(name);
        using var folder = new TemporaryFolder();
        var diagnosis = new HostDoctor(machine.Root, "/var/lib/exitless").Diagnose();
        using var packed = new MemoryStream();
        Bundle.Write(packed, diagnosis.Files, "host-a");
        packed.Position = 0;
        var again = new HostDoctor(Bundle.Unpack(packed, folder.Path), "/var/lib/exitless").Diagnose();
        Assert.Equal(diagnosis.Findings, again.Findings);
    }

    [Theory]
    [MemberData(nameof(Machines))]
    public void Every_trouble_has_evidence_and_every_warning_a_remedy_unless_there_is_none(string name)
    {
        using var machine = new RecordedMachine(name);
        foreach (var finding in new HostDoctor(machine.Root, "/var/lib/exitless").Diagnose().Findings)
        {
            Assert.NotEmpty(finding.Evidence);
            Assert.All(finding.Evidence, e => Assert.True(e.Path.Length > 0, finding.ToString()));
            Assert.True(finding.Severity is Severity.Ok or Severity.Info || finding.Remedy.Length > 0, finding.ToString());
            Assert.False(finding.Severity == Severity.Ok && finding.Remedy.Length > 0, finding.ToString());
        }
    }

    [Theory]
    [MemberData(nameof(Machines))]
    public void The_grader_takes_a_host_to_post_where_the_doctor_does(string name)
    {
        using var machine = new RecordedMachine(name);
        var posts = new HostDoctor(machine.Root, "/var/lib/exitless").Diagnose().Findings.Any(f => f is { Id: "device-posting", Severity: "ok" });
        Assert.Equal(posts ? VectorGrade.Posted : null, HostBypass.Read(machine.Root));
    }

    private static IEnumerable<string> Lines(Diagnosis diagnosis) =>
        diagnosis.Findings.Select(f => $"{f.Severity} {f.Id} {f.Subject}".TrimEnd()).Order(StringComparer.Ordinal);
}
