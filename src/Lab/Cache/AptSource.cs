namespace Exitless.Lab.Cache;

/// <summary>One of the machine's apt sources: where packages come from and what proves them genuine (sources.list(5)).</summary>
/// <param name="Uris">Where the archive is.</param>
/// <param name="Suites">Its suites.</param>
/// <param name="Components">Its components.</param>
/// <param name="Options">Further fields under their deb822 names, such as <c>Signed-By</c>; a value may have several lines.</param>
internal sealed record AptSource(
    IReadOnlyList<string> Uris, IReadOnlyList<string> Suites, IReadOnlyList<string> Components, IReadOnlyDictionary<string, string> Options)
{
    // What says whom to trust goes along to a source of ours; what says which part of the archive to look at does not.
    private static readonly string[] Carried = ["Signed-By", "Trusted", "Check-Valid-Until", "Check-Date", "Valid-Until-Max", "Date-Max-Future"];

    /// <summary>Writes a deb822 source for other suites of the same archive, for packages only (no translations, no contents).</summary>
    public string WithSuites(IEnumerable<string> suites)
    {
        var lines = new List<string>
        {
            "Types: deb",
            "URIs: " + string.Join(' ', Uris),
            "Suites: " + string.Join(' ', suites),
            "Components: main",
            "Architectures: amd64",
            "Targets: Packages",
        };
        lines.AddRange(Carried.Where(Options.ContainsKey).Select(name => $"{name}: {Options[name]}"));
        return string.Join('\n', lines) + "\n";
    }
}
