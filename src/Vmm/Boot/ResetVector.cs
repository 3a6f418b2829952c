using Exitless.Vmm.Devices;

namespace Exitless.Vmm.Boot;

/// <summary>
/// The firmware's entry at F000:FFF0, all that is left of one. A Linux whose ACPI is hardware-reduced wants to reboot through EFI and, where there
/// is none, jumps here in real mode; it tries neither the reset register nor the keyboard controller (arch/x86/kernel/reboot.c).
/// </summary>
internal static class ResetVector
{
    /// <summary>Real-mode code: mov dx, 0xCF9; mov al, 0x0E; out dx, al; hlt; and back to the hlt.</summary>
    public static ReadOnlySpan<byte> Code => [0xba, (byte)(ResetControl.Port & 0xff), ResetControl.Port >> 8, 0xb0, ResetControl.FullReset, 0xee, 0xf4, 0xeb, 0xfd];
}
