namespace Exitless.ControlPlane.Hosts;

/// <summary>What may be asked of a host at all.</summary>
internal static class HostRules
{
    /// <summary>Why nothing can be asked of it now; null: it can.</summary>
    public static (string Code, string Detail, string Remedy)? Refusal(HostRow host) =>
        host.RevokedAt is { } revoked ? ("host-revoked", $"The certificates of {host.Name} were revoked at {revoked:u}.", "Enrol the host again first.")
        : host.Recovering ? ("host-recovering", $"The database was restored from a backup, and {host.Name} has not connected since: what it was told after the backup is not known yet.", "Wait until it is connected; if it never will be, revoke it.")
        : null;
}
