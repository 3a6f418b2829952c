using System.Buffers.Binary;

namespace Exitless.Vmm.Pci;

/// <summary>The host bridge in slot 0: ids and a class, nothing to configure.</summary>
internal sealed class HostBridge : IPciFunction
{
    // Red Hat's generic PCIe host bridge: every guest knows it and none has a quirk for it.
    private const ushort Vendor = 0x1b36, Device = 0x0008;
    private const uint ClassHostBridge = 0x060000;
    private readonly byte[] _config = new byte[64];

    public HostBridge()
    {
        BinaryPrimitives.WriteUInt16LittleEndian(_config, Vendor);
        BinaryPrimitives.WriteUInt16LittleEndian(_config.AsSpan(2), Device);
        BinaryPrimitives.WriteUInt32LittleEndian(_config.AsSpan(8), ClassHostBridge << 8);
    }

    public uint ReadConfig(int offset, int size)
    {
        uint value = 0;
        for (var i = 0; i < size && offset + i < _config.Length; i++)
            value |= (uint)_config[offset + i] << (8 * i);
        return value;
    }

    public void WriteConfig(int offset, int size, uint value)
    {
        // Nothing here can be changed.
    }

    public void Reset()
    {
        // Nothing here has changed.
    }

    public bool TryReadMemory(ulong address, int size, out ulong value)
    {
        value = 0;
        return false;
    }

    public bool TryWriteMemory(ulong address, int size, ulong value) => false;
}
