using Exitless.Vmm.Control;

namespace Exitless.Vmm.Devices;

/// <summary>
/// The pvpanic device at port 0x505 (QEMU's docs/specs/pvpanic.rst; ACPI id QEMU0001): reading tells which events it takes, writing reports them. A
/// kernel that has loaded a crash kernel says that, too, and goes on by itself.
/// </summary>
internal sealed class PanicPort(GuestEnd end) : IPortDevice
{
    public const ushort Port = 0x505;
    private const byte Panicked = 1, CrashKernelLoaded = 2;

    public uint ReadPort(int offset, int size) => Panicked | CrashKernelLoaded;

    public void WritePort(int offset, int size, uint value)
    {
        if ((value & Panicked) != 0)
            end.Ask(VmEndReason.GuestPanic, "The guest's kernel panicked; the end of its console says why.");
    }
}
