namespace Exitless.Lab;

/// <summary>What a command in a host did.</summary>
/// <param name="ExitCode">Its exit code, as the shell gives it.</param>
/// <param name="Output">Its standard output.</param>
/// <param name="Errors">Its standard error.</param>
public sealed record LabShellResult(int ExitCode, string Output, string Errors);
