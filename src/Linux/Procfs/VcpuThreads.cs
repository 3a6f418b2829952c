using System.Globalization;
using Exitless.Linux.Sysfs;

namespace Exitless.Linux.Procfs;

/// <summary>The threads of a VMM that run vCPUs, told by their names in /proc/‹pid›/task/‹tid›/comm: ours ("vcpu 0"), QEMU's ("CPU 0/KVM") and cloud-hypervisor's ("vcpu0").</summary>
public static class VcpuThreads
{
    /// <summary>The vCPUs' indices and thread ids, in no particular order; none where the threads bear other names (QEMU without <c>debug-threads=on</c>).</summary>
    public static IReadOnlyList<(int Vcpu, int Thread)> Of(HostRoot root, int processId)
    {
        var found = new List<(int, int)>();
        var folder = root.Proc(string.Create(CultureInfo.InvariantCulture, $"{processId}/task"));
        foreach (var task in SysfsFile.Names(folder))
        {
            if (int.TryParse(task, NumberStyles.None, CultureInfo.InvariantCulture, out var thread) && SysfsFile.Text($"{folder}/{task}/comm") is { } name && VcpuOf(name) is { } vcpu)
                found.Add((vcpu, thread));
        }
        return found;
    }

    /// <summary>All threads of a process.</summary>
    public static IReadOnlyList<int> All(HostRoot root, int processId) =>
        [.. SysfsFile.Names(root.Proc(string.Create(CultureInfo.InvariantCulture, $"{processId}/task"))).Where(t => t.All(char.IsAsciiDigit)).Select(t => int.Parse(t, CultureInfo.InvariantCulture))];

    private static int? VcpuOf(string name)
    {
        ReadOnlySpan<char> digits = name switch
        {
            _ when name.StartsWith("vcpu", StringComparison.Ordinal) => name.AsSpan(4).TrimStart(' '),
            _ when name.StartsWith("CPU ", StringComparison.Ordinal) && name.EndsWith("/KVM", StringComparison.Ordinal) => name.AsSpan(4, name.Length - 8),
            _ => [],
        };
        return int.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var vcpu) ? vcpu : null;
    }
}
