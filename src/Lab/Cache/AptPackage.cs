namespace Exitless.Lab.Cache;

/// <summary>A package and one of its versions.</summary>
internal sealed record AptPackage(string Name, DebianVersion Version)
{
    /// <summary>Reads the paragraphs that <c>apt-cache show</c> and <c>dpkg-deb --field</c> print.</summary>
    public static IReadOnlyList<AptPackage> Read(string text)
        => [.. Deb822.Read(text).Where(f => f.ContainsKey("Package") && f.ContainsKey("Version"))
            .Select(f => new AptPackage(f["Package"], new DebianVersion(f["Version"])))];

    /// <summary>The newest signed image of a kernel series for all machines: not the cloud, real-time, unsigned or debug flavours.</summary>
    public static AptPackage NewestKernel(IEnumerable<AptPackage> packages, string series)
        => packages.Where(p => p.Name.StartsWith($"linux-image-{series}.", StringComparison.Ordinal)
                && p.Name.EndsWith("-amd64", StringComparison.Ordinal)
                && !p.Name.EndsWith("-cloud-amd64", StringComparison.Ordinal) && !p.Name.EndsWith("-rt-amd64", StringComparison.Ordinal))
            .MaxBy(p => p.Version)
            ?? throw new LabException($"This machine's Debian archive has no linux-image-{series}.*-amd64 package.",
                "Use a mirror that carries the suite, then run `exitless-lab prepare` again.");
}
