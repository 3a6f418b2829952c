using System.Globalization;
using Exitless.Linux.Sysfs;

namespace Exitless.Linux.Procfs;

/// <summary>A process that holds a file open.</summary>
public sealed record FileHolder(int ProcessId, string Name);

/// <summary>Who holds which VFIO node open, from the links in /proc/‹pid›/fd.</summary>
public static class ProcessFiles
{
    /// <summary>The processes that hold a file below <paramref name="prefix"/> open, by that file's path.</summary>
    /// <param name="prefix">Such as /dev/vfio/.</param>
    public static IReadOnlyDictionary<string, FileHolder> HoldersBelow(HostRoot root, string prefix)
    {
        var holders = new Dictionary<string, FileHolder>(StringComparer.Ordinal);
        foreach (var name in SysfsFile.Names(root.Proc("")))
        {
            if (!int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out var pid))
                continue;
            foreach (var target in OpenBelow(root, pid, prefix))
                holders.TryAdd(target, new FileHolder(pid, SysfsFile.Text(root.Proc(name + "/comm")) ?? name));
        }
        return holders;
    }

    /// <summary>The files below <paramref name="prefix"/> that a process holds open; none where it is gone or may not be looked into.</summary>
    /// <param name="prefix">Such as /dev/vfio/.</param>
    public static IEnumerable<string> OpenBelow(HostRoot root, int processId, string prefix)
    {
        var folder = root.Proc($"{processId}/fd");
        foreach (var fd in SysfsFile.Names(folder))
        {
            if (LinkOf($"{folder}/{fd}") is { } target && target.StartsWith(prefix, StringComparison.Ordinal))
                yield return target;
        }
    }

    private static string? LinkOf(string path)
    {
        try
        {
            return new FileInfo(path).LinkTarget;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;   // the process or the descriptor is gone
        }
    }
}
