namespace Exitless.Vmm.Control;

/// <summary>Something that a VMM's process tried and should not be able to do.</summary>
/// <param name="Call">What it tried.</param>
/// <param name="Error">The error number that it got; 1 (EPERM) from the sandbox, 0: it succeeded.</param>
public sealed record SandboxAttempt(string Call, int Error);
