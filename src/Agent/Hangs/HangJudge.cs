using System.Globalization;
using Exitless.Vmm.Control;

namespace Exitless.Agent.Hangs;

/// <summary>
/// Tells a guest that hangs from one that is idle. One that is idle takes an interrupt when it comes, or has a timer armed; of one that hangs no vCPU has a timer armed, and an interrupt waits
/// that none takes. What is seen once may be a moment between two instructions, so it must be seen twice, with nothing having moved in between.
/// </summary>
/// <param name="limit">For how long nothing must have moved, seconds.</param>
internal sealed class HangJudge(int limit)
{
    private IReadOnlyList<VcpuLook>? _before;

    /// <summary>From so many seconds without progress on a guest is worth a look.</summary>
    public static int LookAfter(int limit) => Math.Max(1, limit / 3);

    /// <summary>Judges a look at a guest that has not moved.</summary>
    /// <param name="stillSeconds">For how long it has not.</param>
    /// <param name="look">Its vCPUs.</param>
    /// <returns>What is wrong with it, in words; null: nothing, or not for long enough.</returns>
    public string? Judge(int stillSeconds, IReadOnlyList<VcpuLook> look)
    {
        var before = _before;
        _before = look;
        if (before is null || !IsStuck(before) || !IsStuck(look) || stillSeconds < limit || !Waiting(look).SequenceEqual(Waiting(before)))
            return null;
        return string.Join(" ", look.Where(v => v.Started).Select(Words)) + " No vCPU has a timer armed.";
    }

    /// <summary>It has moved.</summary>
    public void Moved() => _before = null;

    private static bool IsStuck(IReadOnlyList<VcpuLook> look)
    {
        var started = look.Where(v => v.Started).ToList();
        return started.Count > 0 && !started.Exists(v => v.TimerArmed) && started.Exists(v => v.Pending is not null);
    }

    private static IEnumerable<(int, int?)> Waiting(IReadOnlyList<VcpuLook> look) => look.Where(v => v.Started).Select(v => (v.Index, v.Pending));

    private static string Words(VcpuLook vcpu)
    {
        var where = vcpu.Halted ? "is halted" : string.Create(CultureInfo.InvariantCulture, $"runs at RIP 0x{vcpu.Rip:x}");
        var waits = vcpu.Pending is { } vector ? string.Create(CultureInfo.InvariantCulture, $", and leaves interrupt 0x{vector:x} waiting") : "";
        var why = !vcpu.InterruptsOn ? " with interrupts off" : vcpu is { Pending: not null, InService: { } served } ? string.Create(CultureInfo.InvariantCulture, $" and has not ended interrupt 0x{served:x}") : "";
        return string.Create(CultureInfo.InvariantCulture, $"vCPU {vcpu.Index} {where}{why}{waits}.");
    }
}
