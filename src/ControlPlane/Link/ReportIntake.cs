using Exitless.Contracts;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Database;
using Exitless.ControlPlane.Hosts;

namespace Exitless.ControlPlane.Link;

/// <summary>Takes a doctor's whole report. What an agent sends is input: there is a limit to how much of it is kept.</summary>
internal sealed class ReportIntake(ChangeRunner runner)
{
    // A host of 256 CPUs with every function in trouble has some hundred findings.
    private const int MostFindings = 2000, MostEvidence = 64;

    public Task TakeAsync(Guid hostId, DoctorReport report, CancellationToken ct) => runner.RunAsync(async (db, changes) =>
    {
        if (await db.LockHostAsync(hostId, ct) is not { } host)
            return;
        host.Report = new StoredReport(changes.Now, [.. report.Findings.Take(MostFindings).Select(Stored)]);
        changes.Announce(ChangeKind.Host, hostId);
    }, ct);

    private static StoredFinding Stored(Finding f) => new(
        LinkMapping.Clean(f.Id), LinkMapping.Text(f.Subject),
        f.Severity switch { "ok" => FindingSeverity.Ok, "info" => FindingSeverity.Info, "blocker" => FindingSeverity.Blocker, _ => FindingSeverity.Warning },
        LinkMapping.Clean(f.Title), [.. f.Evidence.Take(MostEvidence).Select(e => new EvidenceDto(LinkMapping.Clean(e.Path), LinkMapping.Clean(e.Value)))],
        LinkMapping.Text(f.Remedy), f.NeedsReboot);
}
