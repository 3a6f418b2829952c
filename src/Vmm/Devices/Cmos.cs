namespace Exitless.Vmm.Devices;

/// <summary>CMOS memory that holds nothing: every byte reads 0, so nobody finds a clock or a stale setting there. Guests take the time from kvm-clock.</summary>
internal sealed class Cmos : IPortDevice
{
    public const ushort Port = 0x70;

    public uint ReadPort(int offset, int size) => 0;

    public void WritePort(int offset, int size, uint value)
    {
        // The index needs no memory where every byte is the same.
    }
}
