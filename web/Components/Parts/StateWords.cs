using Exitless.ControlPlane.Api;

namespace Exitless.Web.Components.Parts;

/// <summary>States as a word and a tone: ok, busy, warn, bad, idle, or stale for what was only last heard.</summary>
internal static class StateWords
{
    public static (string Tone, string Words) Of(VmDto vm)
    {
        var (tone, words) = vm.Deleting ? ("busy", "Deleting") : vm is { State: VmState.Running, Problem: { } problem } ? ("bad", problem.Title) : Of(vm.State);
        return vm.HostConnected ? (tone, words) : ("stale", $"{words}, last heard");
    }

    public static (string Tone, string Words) Of(HostDto host) => host switch
    {
        { RevokedAt: not null } => ("bad", "Revoked"),
        { Connected: true } when host.Capabilities.Any(capability => !capability.Present) => ("warn", "Linked, not ready"),
        { Connected: true } => ("ok", "Linked"),
        { LastSeenAt: null } => ("idle", "Enrolled, not linked yet"),
        _ => ("bad", "Link lost"),
    };

    public static (string Tone, string Words) Of(OperationDto operation) => operation.State switch
    {
        OperationState.Waiting => ("busy", "Waiting"),
        OperationState.Running => ("busy", "Running"),
        OperationState.Done => ("ok", "Done"),
        OperationState.Failed => ("bad", "Failed"),
        OperationState.Cancelled => ("idle", "Cancelled"),
    };

    public static (string Tone, string Words) Of(EventSeverity severity) => severity switch
    {
        EventSeverity.Info => ("idle", "Info"),
        EventSeverity.Warning => ("warn", "Warning"),
        EventSeverity.Error => ("bad", "Error"),
    };

    public static (string Tone, string Words) Of(FindingSeverity severity) => severity switch
    {
        FindingSeverity.Ok => ("ok", "Fine"),
        FindingSeverity.Info => ("idle", "Info"),
        FindingSeverity.Warning => ("warn", "Warning"),
        FindingSeverity.Blocker => ("bad", "Blocker"),
    };

    private static (string Tone, string Words) Of(VmState state) => state switch
    {
        VmState.Unknown => ("idle", "Not reported yet"),
        VmState.Stopped => ("idle", "Stopped"),
        VmState.Starting => ("busy", "Starting"),
        VmState.Running => ("ok", "Running"),
        VmState.Stopping => ("busy", "Stopping"),
        VmState.Failed => ("bad", "Failed"),
    };
}
