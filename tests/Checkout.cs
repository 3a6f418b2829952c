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

    /// <summary>The VMM's own file that belongs to <see cref="Agent"/>.</summary>
    public static string Vmm => VmmOf(Agent);

    /// <summary>The VMM's own file beside an agent's, or where scripts/build puts it; the agent's, which is the VMM too, where it is in neither place.</summary>
    public static string VmmOf(string agent)
    {
        var folder = Path.GetDirectoryName(Path.GetFullPath(agent))!;
        return ((string[])[Path.Combine(folder, "exitless-vmm"), Path.Combine(folder, "../vmm/exitless-vmm")]).FirstOrDefault(File.Exists) ?? agent;
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
