using Exitless.Vmm.Devices;

namespace Exitless.Vmm.Pci;

/// <summary>Configuration mechanism 1: the address at port 0xCF8, the data at 0xCFC; and the reset control register between them.</summary>
internal sealed class PciPorts(PciBus bus, ResetControl reset) : IPortDevice
{
    public const ushort First = 0xcf8;
    public const int Count = 8;
    private const int ResetOffset = ResetControl.Port - First;
    private uint _address;

    public uint ReadPort(int offset, int size)
    {
        if (offset == 0 && size == 4)
            return _address;
        return offset >= 4 && Enabled ? bus.ReadConfig(Function, Register(offset), size) : uint.MaxValue;
    }

    public void WritePort(int offset, int size, uint value)
    {
        if (offset == 0 && size == 4)
            _address = value;
        else if (offset == ResetOffset && size == 1)
            reset.Write((byte)value);
        else if (offset >= 4 && Enabled)
            bus.WriteConfig(Function, Register(offset), size, value);
    }

    private bool Enabled => _address >> 31 != 0;

    private uint Function => _address >> 8 & 0xffff;

    private int Register(int offset) => (int)(_address & 0xfc) | (offset & 3);
}
