namespace Exitless.Lab.Cache;

/// <summary>Where downloads live: outside the checkout, so that they survive <c>git clean</c>.</summary>
internal static class LabCache
{
    /// <summary><c>$EXITLESS_CACHE</c>, else <c>$XDG_CACHE_HOME/exitless</c>, else <c>~/.cache/exitless</c>.</summary>
    public static string Root => Find(Environment.GetEnvironmentVariable, Environment.GetFolderPath(Environment.SpecialFolder.UserProfile));

    internal static string Find(Func<string, string?> variable, string home)
    {
        if (variable("EXITLESS_CACHE") is { Length: > 0 } chosen)
            return Path.GetFullPath(chosen);
        // The XDG base directory specification: a relative path is to be ignored.
        if (variable("XDG_CACHE_HOME") is { Length: > 0 } xdg && Path.IsPathRooted(xdg))
            return Path.Combine(xdg, "exitless");
        return home.Length > 0
            ? Path.Combine(home, ".cache", "exitless")
            : throw new LabException("There is no home folder to keep the cache in.", "Set EXITLESS_CACHE to a folder that may be written.");
    }
}
