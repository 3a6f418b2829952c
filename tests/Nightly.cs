namespace Exitless.Tests;

/// <summary>Whether tests of many minutes run too: EXITLESS_NIGHTLY=1.</summary>
internal static class Nightly
{
    public static bool IsOn { get; } = Environment.GetEnvironmentVariable("EXITLESS_NIGHTLY") == "1";
}
