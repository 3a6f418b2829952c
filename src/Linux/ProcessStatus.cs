using System.Globalization;

namespace Exitless.Linux;

/// <summary>What /proc/[pid]/status says about privileges and locked memory (proc_pid_status(5)).</summary>
/// <param name="EffectiveCapabilities">Bit n is capability n of capabilities(7).</param>
/// <param name="LockedBytes">VmLck plus VmPin: what counts against RLIMIT_MEMLOCK.</param>
public readonly record struct ProcessStatus(ulong EffectiveCapabilities, ulong LockedBytes)
{
    private const int IpcLock = 14;

    /// <summary>True if the process may lock memory without limit (CAP_IPC_LOCK).</summary>
    public bool MayLockMemory => (EffectiveCapabilities >> IpcLock & 1) != 0;

    /// <summary>Reads a status file.</summary>
    /// <param name="root">Where proc's parent is: <c>/</c>, or a recorded tree in tests.</param>
    /// <param name="process">A process id, or <c>self</c>.</param>
    public static ProcessStatus Read(string root = "/", string process = "self")
    {
        ulong capabilities = 0, locked = 0;
        foreach (var line in File.ReadLines(Path.Combine(root, "proc", process, "status")))
        {
            if (line.StartsWith("CapEff:", StringComparison.Ordinal))
                capabilities = ulong.Parse(line.AsSpan(7).Trim(), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
            else if (line.StartsWith("VmLck:", StringComparison.Ordinal) || line.StartsWith("VmPin:", StringComparison.Ordinal))
                locked += ulong.Parse(line.AsSpan(6).Trim().TrimEnd("kB").Trim(), CultureInfo.InvariantCulture) << 10;
        }
        return new ProcessStatus(capabilities, locked);
    }
}
