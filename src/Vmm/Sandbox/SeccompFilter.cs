using Exitless.Linux.Confinement;

namespace Exitless.Vmm.Sandbox;

/// <summary>Turns rules into a filter: what no rule allows fails with EPERM, which the runtime survives and a test can see.</summary>
internal static class SeccompFilter
{
    public const uint Allow = 0x7fff0000, KillProcess = 0x80000000, RefuseNotPermitted = 0x00050001, RefuseAbsent = 0x00050026;
    private const uint X86_64 = 0xc000003e;

    public static BpfInstruction[] Compile(IEnumerable<CallRule> rules)
    {
        var code = new BpfAssembler()
            .Load(BpfAssembler.ArchitectureOffset).SkipIfEqual(X86_64, 1).Return(KillProcess)
            .Load(BpfAssembler.NumberOffset);
        foreach (var rule in rules)
        {
            if (rule.Condition is { } condition)
                Add(code, rule.Number, condition);
            else
                code.SkipUnlessEqual(rule.Number, 1).Return(Allow);
        }
        return code.SkipUnlessEqual(AllowedCalls.AbsentCall, 1).Return(RefuseAbsent).Return(RefuseNotPermitted).Program;
    }

    // The number is lost once an argument is loaded, so both ways out of a condition are the filter's end.
    private static void Add(BpfAssembler code, uint number, ArgumentCondition condition)
    {
        var (exact, values) = (condition.Exactly.Length, condition.Values.Length);
        code.SkipUnlessEqual(number, exact + values + 4).Load(BpfAssembler.ArgumentOffset(condition.Argument));
        for (var i = 0; i < exact; i++)
            code.SkipIfEqual(condition.Exactly[i], exact - i + values + 1);
        code.Mask(condition.Mask);
        for (var i = 0; i < values; i++)
            code.SkipIfEqual(condition.Values[i], values - i);
        code.Return(RefuseNotPermitted).Return(Allow);
    }
}
