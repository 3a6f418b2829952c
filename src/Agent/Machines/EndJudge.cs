using Exitless.Contracts;
using Exitless.Vmm.Control;

namespace Exitless.Agent.Machines;

/// <summary>What follows from a guest's end.</summary>
/// <param name="StartAgain">True: it reset itself, and is started again.</param>
/// <param name="Problem">Why it counts as failed; null: it is stopped, as somebody or its guest wanted.</param>
internal sealed record EndVerdict(bool StartAgain, Problem? Problem);

/// <summary>Judges the ends of one VM's guest. A guest that resets is started again, but not for ever.</summary>
internal sealed class EndJudge
{
    private const int MaxQuickResets = 3;
    private static readonly TimeSpan QuickReset = TimeSpan.FromSeconds(20);
    private int _quickResets;

    /// <param name="end">How it ended.</param>
    /// <param name="ranFor">How long it ran.</param>
    /// <param name="asked">True: it was told to.</param>
    public EndVerdict Judge(VmEnd end, TimeSpan ranFor, bool asked)
    {
        if (asked || end.Reason == VmEndReason.PowerOff)
            return new EndVerdict(false, null);
        if (end.Reason != VmEndReason.Reset)
            return Failed("vm-ended", "The VM ended unexpectedly", $"{Word(end.Reason)}: {end.Text}");
        _quickResets = ranFor < QuickReset ? _quickResets + 1 : 0;
        if (_quickResets < MaxQuickResets)
            return new EndVerdict(true, null);
        _quickResets = 0;
        return Failed("reset-loop", "The guest resets again and again", $"{MaxQuickResets} resets, each within {QuickReset.TotalSeconds:0} s of the start.");
    }

    /// <summary>The reason as the wire and REST have it.</summary>
    public static string Word(VmEndReason reason) => reason switch
    {
        VmEndReason.PowerOff => "power-off",
        VmEndReason.Reset => "reset",
        VmEndReason.TripleFault => "triple-fault",
        VmEndReason.GuestPanic => "guest-panic",
        VmEndReason.Killed => "killed",
        VmEndReason.Error => "error",
    };

    private static EndVerdict Failed(string code, string title, string detail) => new(false, new Problem
    {
        Code = code,
        Title = title,
        Detail = detail,
        Remedy = "Look at the end of its console and into vmm.log in its run folder on the host; then start it again.",
    });
}
