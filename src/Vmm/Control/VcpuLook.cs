namespace Exitless.Vmm.Control;

/// <summary>What a vCPU is about, looked at while it did not run: whether it takes interrupts, and whether anything will wake it.</summary>
/// <param name="Index">Which, from 0.</param>
/// <param name="Started">False: it waits for the guest to start it (INIT or SIPI).</param>
/// <param name="Halted">It waits in HLT.</param>
/// <param name="Rip">Where it is.</param>
/// <param name="InterruptsOn">RFLAGS.IF.</param>
/// <param name="TimerArmed">Its local APIC's timer will fire.</param>
/// <param name="Pending">The highest vector that waits in its local APIC (IRR); null: none.</param>
/// <param name="InService">The highest vector that it has taken and not ended (ISR); null: none.</param>
public sealed record VcpuLook(int Index, bool Started, bool Halted, ulong Rip, bool InterruptsOn, bool TimerArmed, int? Pending, int? InService);
