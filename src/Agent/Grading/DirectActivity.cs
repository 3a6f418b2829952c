namespace Exitless.Agent.Grading;

/// <summary>
/// What ELI did in one second, summed over a VM's vCPUs (src/Eli/kernel; docs/eli.md has the statistics). It counts per vCPU and not per vector, and what arrives directly
/// nobody on the host counts at all.
/// </summary>
/// <param name="Entries"><c>eli_direct_entries</c>: entries into the guest in direct mode.</param>
/// <param name="Nanoseconds"><c>eli_direct_ns</c>: time in direct mode.</param>
/// <param name="Resent"><c>eli_resent</c>: device interrupts that the host took and that were raised again, directly.</param>
/// <param name="Vectors"><c>eli_vectors</c>: device interrupts for which there is a gate now.</param>
/// <param name="Available">The time that the vCPUs with such a gate had, nanoseconds. Each has a CPU to itself, so it is their share of the process's CPU time.</param>
internal readonly record struct DirectActivity(long Entries, long Nanoseconds, long Resent, long Vectors, long Available)
{
    // So much of the time outside of direct mode is usual: host ticks, the guest's own timers (docs/eli.md has what was measured).
    private const int UsualPercent = 12;

    /// <summary>Device interrupts can have passed the host by.</summary>
    public bool IsOn => Entries > 0 && Vectors > 0;

    /// <summary>The vCPUs with gates were in direct mode, but for the usual.</summary>
    public bool IsWhole => IsOn && Nanoseconds * 100 >= Available * (100 - UsualPercent);

    /// <summary>Whether so few of the interrupts that the guest counted were seen by the host as come in outside of direct mode.</summary>
    public static bool IsUsual(long host, long guest) => host * 100 <= guest * UsualPercent;
}
