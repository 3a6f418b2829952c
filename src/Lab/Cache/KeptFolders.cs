namespace Exitless.Lab.Cache;

/// <summary>
/// Things built into folders below one folder, one for each version of what they are built from. Several checkouts share a cache, and each has a version of its own: so the ones
/// used last stay, and building one does not make another checkout build its own again. A folder's time of modification is when it was last used.
/// </summary>
/// <param name="parent">The folder; it need not be there.</param>
/// <param name="count">How many stay.</param>
/// <param name="time">The clock.</param>
internal sealed class KeptFolders(string parent, int count, TimeProvider time)
{
    /// <summary>What one that is being built is named after.</summary>
    public const string Unfinished = ".part";

    /// <summary>Where the one of a version is, or will be.</summary>
    public string PathOf(string version) => Path.Combine(parent, version);

    /// <summary>Notes that one is used.</summary>
    /// <returns>False where it is not there.</returns>
    public bool Use(string version)
    {
        var folder = PathOf(version);
        if (!Directory.Exists(folder))
            return false;
        try
        {
            Directory.SetLastWriteTimeUtc(folder, time.GetUtcNow().UtcDateTime);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Somebody else's cache: it can be used all the same.
        }
        return true;
    }

    /// <summary>Makes an empty folder to build one in, and removes what a broken-off building left. The caller holds the cache's lock.</summary>
    public string Begin(string version)
    {
        foreach (var broken in Directory.Exists(parent) ? Directory.GetDirectories(parent, "*" + Unfinished) : [])
            Directory.Delete(broken, recursive: true);
        return Directory.CreateDirectory(PathOf(version) + Unfinished).FullName;
    }

    /// <summary>Puts one that is built in its place, and removes those used longest ago. The caller holds the cache's lock.</summary>
    public void Finish(string version)
    {
        Directory.Move(PathOf(version) + Unfinished, PathOf(version));
        Use(version);
        foreach (var older in Directory.GetDirectories(parent).OrderByDescending(Directory.GetLastWriteTimeUtc).Skip(count))
            Directory.Delete(older, recursive: true);
    }
}
