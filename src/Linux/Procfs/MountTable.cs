using System.Text;

namespace Exitless.Linux.Procfs;

/// <summary>A mounted file system: one line of /proc/self/mountinfo (proc_pid_mountinfo(5)).</summary>
/// <param name="Device">"major:minor"; major 0 for file systems without one block device (btrfs, overlay, tmpfs).</param>
/// <param name="Source">What was mounted, such as /dev/sda1.</param>
public sealed record Mount(string Device, string MountPoint, string Type, string Source);

/// <summary>The mounted file systems.</summary>
public static class MountTable
{
    /// <summary>All mounts, in the kernel's order.</summary>
    public static IReadOnlyList<Mount> Read(HostRoot root)
    {
        var mounts = new List<Mount>();
        foreach (var line in ProcFile.Lines(root.Proc("self/mountinfo")))
        {
            // 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
            var fields = line.Split(' ');
            var dash = Array.IndexOf(fields, "-", 6 <= fields.Length ? 6 : fields.Length);
            if (dash > 0 && dash + 2 < fields.Length)
                mounts.Add(new Mount(fields[2], Unescape(fields[4]), fields[dash + 1], Unescape(fields[dash + 2])));
        }
        return mounts;
    }

    /// <summary>The mount that a path is on: the last one with the longest mount point above it.</summary>
    public static Mount? Of(IReadOnlyList<Mount> mounts, string path)
    {
        Mount? best = null;
        foreach (var mount in mounts)
        {
            var above = mount.MountPoint.TrimEnd('/') + "/";
            if ((path + "/").StartsWith(above, StringComparison.Ordinal) && (best is null || mount.MountPoint.Length >= best.MountPoint.Length))
                best = mount;
        }
        return best;
    }

    // Space, tab, line feed and backslash are written as \ooo.
    private static string Unescape(string text)
    {
        if (!text.Contains('\\', StringComparison.Ordinal))
            return text;
        var plain = new StringBuilder(text.Length);
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] == '\\' && i + 3 < text.Length && IsOctal(text[i + 1]) && IsOctal(text[i + 2]) && IsOctal(text[i + 3]))
            {
                plain.Append((char)(((text[i + 1] - '0') << 6) | ((text[i + 2] - '0') << 3) | (text[i + 3] - '0')));
                i += 3;
            }
            else
            {
                plain.Append(text[i]);
            }
        }
        return plain.ToString();
    }

    private static bool IsOctal(char c) => c is >= '0' and <= '7';
}
