using Exitless.Agent.Machines;

namespace Exitless.Agent;

/// <summary>What the command line says.</summary>
/// <param name="StateFolder">What the agent keeps.</param>
/// <param name="RunFolder">What running VMs need.</param>
/// <param name="Server">Null: the one that the host enrolled at.</param>
/// <param name="Token">A one-time token; null: the host is enrolled.</param>
/// <param name="AuthorityFingerprint">Of the control plane's CA.</param>
internal sealed record AgentOptions(string StateFolder, string RunFolder, Uri? Server, string? Token, string? AuthorityFingerprint)
{
    /// <summary>After how many seconds without any progress a guest that takes no interrupts is told to hang; 0: never.</summary>
    public int HangSeconds { get; init; } = 30;

    /// <summary>Exits a second of a VM above which they are counted by reason though nobody looks; 0: never.</summary>
    public long ReasonsAbove { get; init; }

    /// <summary>For how many seconds that is done at most.</summary>
    public int ReasonsSeconds { get; init; } = 60;

    /// <summary>How VMs get their devices.</summary>
    public VfioInterface Vfio { get; init; }
}
