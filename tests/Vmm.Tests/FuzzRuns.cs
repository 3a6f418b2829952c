namespace Exitless.Vmm.Tests;

/// <summary>How many inputs a fuzz target takes: ten thousand in the ordinary run, a million with EXITLESS_NIGHTLY=1.</summary>
internal static class FuzzRuns
{
    public static int Count => Nightly.IsOn ? 1_000_000 : 10_000;
}
