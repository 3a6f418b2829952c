namespace Exitless.ControlPlane.Database;

/// <summary>The machine's own PostgreSQL: the folder with <c>initdb</c>, <c>pg_ctl</c> and <c>postgres</c>.</summary>
internal sealed record PostgresBinaries(string Folder, int Major)
{
    /// <summary>The oldest major version that the migrations were written for (Debian 12's).</summary>
    public const int OldestMajor = 15;

    private static readonly string[] Needed = ["initdb", "pg_ctl", "postgres"];

    public string InitDb => Path.Combine(Folder, "initdb");

    public string PgCtl => Path.Combine(Folder, "pg_ctl");

    /// <summary>Finds the newest binaries, or those of <paramref name="clusterMajor"/> when a cluster exists already: a data folder is bound to its major version.</summary>
    public static PostgresBinaries Find(string? configured, int? clusterMajor)
    {
        var found = Candidates(configured).Where(f => Needed.All(n => File.Exists(Path.Combine(f, n))))
            .Select(f => new PostgresBinaries(f, MajorOf(f))).Where(b => b.Major >= OldestMajor).OrderByDescending(b => b.Major).ToList();
        if (clusterMajor is { } major)
        {
            return found.Find(b => b.Major == major) ?? throw new StartException(
                $"The private database was made by PostgreSQL {major}, and this machine has {Listed(found)}.",
                $"Install PostgreSQL {major} again (apt-get install postgresql-{major}), or move the data with pg_upgrade.");
        }
        return found.Count > 0 ? found[0] : throw new StartException(
            $"No PostgreSQL {OldestMajor} or newer was found on this machine{(configured is null ? "" : $" in '{configured}'")}.",
            "Install it (apt-get install postgresql), or give a server of your own by ConnectionStrings__ControlPlane.");
    }

    private static string Listed(List<PostgresBinaries> found) => found.Count == 0 ? "none" : string.Join(", ", found.Select(b => b.Major));

    private static IEnumerable<string> Candidates(string? configured)
    {
        if (configured is not null)
            return [configured];
        // Debian and Ubuntu; Fedora and RHEL with PGDG packages; then whatever the PATH has, its links resolved.
        var folders = new List<string>();
        foreach (var (parent, pattern) in new[] { ("/usr/lib/postgresql", "*"), ("/usr", "pgsql-*") })
        {
            if (Directory.Exists(parent))
                folders.AddRange(Directory.GetDirectories(parent, pattern).Select(f => Path.Combine(f, "bin")));
        }
        foreach (var folder in (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries))
        {
            var postgres = new FileInfo(Path.Combine(folder, "postgres"));
            if (postgres.Exists)
                folders.Add(Path.GetDirectoryName(postgres.ResolveLinkTarget(returnFinalTarget: true)?.FullName ?? postgres.FullName)!);
        }
        return folders.Distinct(StringComparer.Ordinal);
    }

    private static int MajorOf(string folder)
    {
        // "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"
        var (code, output) = ShortProgram.Run(Path.Combine(folder, "postgres"), ["--version"]);
        var version = output.Split(' ', StringSplitOptions.RemoveEmptyEntries).FirstOrDefault(w => char.IsAsciiDigit(w[0]));
        return code == 0 && version is not null && int.TryParse(version.Split('.')[0].TrimEnd(), out var major) ? major : 0;
    }
}
