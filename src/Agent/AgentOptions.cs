namespace Exitless.Agent;

/// <summary>What the command line says.</summary>
/// <param name="Server">Null: the one that the host enrolled at.</param>
internal sealed record AgentOptions(string StateFolder, string RunFolder, Uri? Server, string? Token, string? AuthorityFingerprint);
