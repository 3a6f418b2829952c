using Exitless.Vmm.Acpi;
using Exitless.Vmm.Control;

namespace Exitless.Vmm.Devices;

/// <summary>Sleep control and status registers of hardware-reduced ACPI (ACPI 6.5, section 4.8.3.7).</summary>
internal sealed class AcpiSleep(GuestEnd end) : IPortDevice
{
    public const ushort ControlPort = 0x600;
    public const ushort StatusPort = 0x601;
    private const byte Enable = 0x20;

    public uint ReadPort(int offset, int size) => 0;

    public void WritePort(int offset, int size, uint value)
    {
        if (offset == 0 && (value & Enable) != 0 && (value >> 2 & 7) == Dsdt.SleepTypeOff)
            end.Ask(VmEndReason.PowerOff, "The guest switched itself off.");
    }
}
