namespace Exitless.Linux.Procfs;

internal static class ProcFile
{
    /// <summary>The lines of a file, or none where it is missing: procfs lacks what the kernel was built without.</summary>
    public static IReadOnlyList<string> Lines(string path)
    {
        try
        {
            return File.ReadAllLines(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    /// <summary>The value after "key" and a colon, in files such as cpuinfo, meminfo and status.</summary>
    public static string? Value(IReadOnlyList<string> lines, string key)
    {
        foreach (var line in lines)
        {
            var colon = line.IndexOf(':', StringComparison.Ordinal);
            if (colon > 0 && line.AsSpan(0, colon).TrimEnd().SequenceEqual(key))
                return line[(colon + 1)..].Trim();
        }
        return null;
    }
}
