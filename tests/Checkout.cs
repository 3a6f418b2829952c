namespace Exitless.Tests;

/// <summary>The checkout that this program was built from. Compiled into every project below tests/.</summary>
internal static class Checkout
{
    /// <summary>The published agent: <c>$EXITLESS_AGENT</c>, else what <c>scripts/build</c> leaves.</summary>
    /// <exception cref="FileNotFoundException">It is not there.</exception>
    public static string Agent
    {
        get
        {
            if (Environment.GetEnvironmentVariable("EXITLESS_AGENT") is { Length: > 0 } named)
                return named;
            var path = At("artifacts/agent/exitless-agent");
            return File.Exists(path) ? path : throw new FileNotFoundException($"{path} is missing: run scripts/build, or name a published agent in EXITLESS_AGENT.", path);
        }
    }

    /// <summary>A path in the checkout.</summary>
    public static string At(string path)
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "ControlPlane.sln")))
            folder = folder.Parent;
        return Path.Combine(folder?.FullName ?? throw new InvalidOperationException("The tests run inside a checkout."), path);
    }
}
