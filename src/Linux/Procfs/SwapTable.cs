namespace Exitless.Linux.Procfs;

/// <summary>A swap area: one line of /proc/swaps.</summary>
/// <param name="Path">The partition's node or the file.</param>
public sealed record SwapArea(string Path, bool IsFile);

/// <summary>The swap areas in use.</summary>
public static class SwapTable
{
    /// <summary>All swap areas.</summary>
    public static IReadOnlyList<SwapArea> Read(HostRoot root)
    {
        var areas = new List<SwapArea>();
        foreach (var line in ProcFile.Lines(root.Proc("swaps")))
        {
            var fields = line.Split((char[])[' ', '\t'], StringSplitOptions.RemoveEmptyEntries);
            if (fields.Length >= 2 && fields[0].StartsWith('/'))
                areas.Add(new SwapArea(fields[0], string.Equals(fields[1], "file", StringComparison.Ordinal)));
        }
        return areas;
    }
}
