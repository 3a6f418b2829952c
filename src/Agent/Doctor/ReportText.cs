using Exitless.Contracts;

namespace Exitless.Agent.Doctor;

/// <summary>The findings for a person at a terminal, the worst first.</summary>
internal static class ReportText
{
    private static readonly string[] Order = [Severity.Blocker, Severity.Warning, Severity.Info, Severity.Ok];

    public static void Write(TextWriter to, IReadOnlyList<Finding> findings)
    {
        foreach (var severity in Order)
        {
            foreach (var finding in findings.Where(f => f.Severity == severity))
            {
                to.WriteLine($"{severity,-8} {finding.Id}{(finding.Subject.Length > 0 ? $" {finding.Subject}" : "")}: {finding.Title}");
                if (severity == Severity.Ok)
                    continue;
                foreach (var evidence in finding.Evidence)
                    to.WriteLine($"           {evidence.Path}: {evidence.Value}");
                if (finding.Remedy.Length > 0)
                    to.WriteLine($"           -> {finding.Remedy}{(finding.NeedsReboot ? "  [reboot]" : "")}");
            }
        }
        to.WriteLine(string.Join(", ", Order.Select(s => (Severity: s, Count: findings.Count(f => f.Severity == s))).Where(s => s.Count > 0).Select(s => $"{s.Count} {s.Severity}")));
    }
}
