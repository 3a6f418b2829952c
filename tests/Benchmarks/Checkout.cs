namespace Exitless.Benchmarks;

/// <summary>The checkout that this program was built from.</summary>
internal static class Checkout
{
    public static string At(string path)
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "ControlPlane.sln")))
            folder = folder.Parent;
        return Path.Combine(folder?.FullName ?? throw new InvalidOperationException("The benchmarks run inside a checkout."), path);
    }
}
