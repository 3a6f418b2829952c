using Exitless.Vmm.Control;

namespace Exitless.Vmm.Devices;

/// <summary>The reset control register at port 0xCF9, as chipsets have it: writing bit 2 resets the machine.</summary>
internal sealed class ResetControl(GuestEnd end)
{
    public const ushort Port = 0xcf9;
    public const byte FullReset = 0x0e;

    public void Write(byte value)
    {
        if ((value & 4) != 0)
            end.Ask(VmEndReason.Reset, "The guest asked for a reset (port 0xCF9).");
    }
}
