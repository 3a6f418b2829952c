using System.Globalization;

namespace Exitless.Linux.Procfs;

/// <summary>What /proc/cpuinfo says of the first CPU.</summary>
public sealed record CpuFacts(string Vendor, string Model, bool HasVmx, bool HasSvm)
{
    /// <summary>Reads /proc/cpuinfo.</summary>
    public static CpuFacts Read(HostRoot root)
    {
        var lines = ProcFile.Lines(root.Proc("cpuinfo"));
        var flags = (ProcFile.Value(lines, "flags") ?? "").Split(' ');
        return new CpuFacts(
            ProcFile.Value(lines, "vendor_id") ?? "", ProcFile.Value(lines, "model name") ?? "",
            flags.Contains("vmx", StringComparer.Ordinal), flags.Contains("svm", StringComparer.Ordinal));
    }
}

/// <summary>What /proc/meminfo says, in bytes.</summary>
public sealed record MemoryFacts(long Total, long Available)
{
    /// <summary>Reads /proc/meminfo.</summary>
    public static MemoryFacts Read(HostRoot root)
    {
        var lines = ProcFile.Lines(root.Proc("meminfo"));
        return new MemoryFacts(Kilobytes(lines, "MemTotal"), Kilobytes(lines, "MemAvailable"));
    }

    private static long Kilobytes(IReadOnlyList<string> lines, string key)
    {
        var text = ProcFile.Value(lines, key) ?? "";
        var space = text.IndexOf(' ', StringComparison.Ordinal);
        return long.TryParse(space < 0 ? text : text[..space], NumberStyles.None, CultureInfo.InvariantCulture, out var value) ? value * 1024 : 0;
    }
}

/// <summary>How much memory this process, and one it starts, may lock: VFIO pins a guest's memory and counts it against this.</summary>
/// <param name="HasIpcLock">CAP_IPC_LOCK is effective: no limit holds (mm/util.c, account_locked_vm).</param>
/// <param name="Limit">RLIMIT_MEMLOCK, soft, in bytes; null: unlimited.</param>
public sealed record LockedMemoryLimit(bool HasIpcLock, long? Limit)
{
    private const int CapIpcLock = 14;   // linux/capability.h

    /// <summary>True when a process may lock that many bytes.</summary>
    public bool Allows(long bytes) => HasIpcLock || Limit is not { } limit || bytes <= limit;

    /// <summary>Reads /proc/self/status and /proc/self/limits.</summary>
    public static LockedMemoryLimit Read(HostRoot root)
    {
        var effective = ProcFile.Value(ProcFile.Lines(root.Proc("self/status")), "CapEff");
        var has = ulong.TryParse(effective, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var mask) && (mask >> CapIpcLock & 1) == 1;
        const string Name = "Max locked memory";
        var line = ProcFile.Lines(root.Proc("self/limits")).FirstOrDefault(l => l.StartsWith(Name, StringComparison.Ordinal));
        var soft = line?[Name.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries).FirstOrDefault();
        return new LockedMemoryLimit(has, long.TryParse(soft, NumberStyles.None, CultureInfo.InvariantCulture, out var bytes) ? bytes : null);
    }
}
