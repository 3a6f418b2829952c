using Exitless.Contracts;

namespace Exitless.Agent.Doctor;

/// <summary>The severities of findings, as the wire and JSON have them.</summary>
internal static class Severity
{
    /// <summary>As it should be.</summary>
    public const string Ok = "ok";

    /// <summary>Good to know; nothing is lost by leaving it.</summary>
    public const string Info = "info";

    /// <summary>VMs run, but not as well, or not as safely, as they could.</summary>
    public const string Warning = "warning";

    /// <summary>No VM with an assigned device can start.</summary>
    public const string Blocker = "blocker";
}

/// <summary>
/// Collects what the checks find. A check whose ground is missing stays silent: the cause is a finding of its own, and a second one about its consequence would
/// send the reader to the wrong place.
/// </summary>
internal sealed class Findings
{
    private readonly List<Finding> _list = [];

    public IReadOnlyList<Finding> List => _list;

    public bool Has(string id, params ReadOnlySpan<string> severities)
    {
        foreach (var finding in _list)
        {
            if (finding.Id == id && severities.Contains(finding.Severity))
                return true;
        }
        return false;
    }

    public void Ok(string id, string title, params IEnumerable<Evidence> evidence) => Add(id, "", Severity.Ok, title, Remedy.None, evidence);

    public void Info(string id, string title, Remedy remedy, params IEnumerable<Evidence> evidence) => Add(id, "", Severity.Info, title, remedy, evidence);

    public void Warning(string id, string title, Remedy remedy, params IEnumerable<Evidence> evidence) => Add(id, "", Severity.Warning, title, remedy, evidence);

    public void Blocker(string id, string title, Remedy remedy, params IEnumerable<Evidence> evidence) => Add(id, "", Severity.Blocker, title, remedy, evidence);

    public void Add(string id, string subject, string severity, string title, Remedy remedy, params IEnumerable<Evidence> evidence)
    {
        var finding = new Finding { Id = id, Subject = subject, Severity = severity, Title = title, Remedy = remedy.Text, NeedsReboot = remedy.NeedsReboot };
        finding.Evidence.AddRange(evidence);
        _list.Add(finding);
    }

    public static Evidence Saw(string path, string? value) => new() { Path = path, Value = value ?? "(not there)" };
}

/// <summary>One way out: a command to type, or an item of the firmware's set-up.</summary>
internal sealed record Remedy(string Text, bool NeedsReboot)
{
    public static Remedy None { get; } = new("", NeedsReboot: false);

    public static Remedy Now(string text) => new(text, NeedsReboot: false);

    public static Remedy AtBoot(string text) => new(text, NeedsReboot: true);
}
