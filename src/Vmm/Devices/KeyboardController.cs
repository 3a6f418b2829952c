using Exitless.Vmm.Control;

namespace Exitless.Vmm.Devices;

/// <summary>All that is left of the i8042: its reset command. Its buffers are always empty.</summary>
internal sealed class KeyboardController(GuestEnd end) : IPortDevice
{
    public const ushort Port = 0x64;
    private const byte PulseReset = 0xfe;

    public uint ReadPort(int offset, int size) => 0;

    public void WritePort(int offset, int size, uint value)
    {
        if ((byte)value == PulseReset)
            end.Ask(VmEndReason.Reset, "The guest asked for a reset (keyboard controller).");
    }
}
