namespace Exitless.Vmm.Tests;

/// <summary>How many inputs a fuzz target takes: ten thousand in the ordinary run, a million with EXITLESS_NIGHTLY=1.</summary>
internal static class FuzzRuns
{
    public static bool IsNightly => Environment.GetEnvironmentVariable("EXITLESS_NIGHTLY") == "1";

    public static int Count => IsNightly ? 1_000_000 : 10_000;
}
