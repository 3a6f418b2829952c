using Exitless.Vmm.Devices;

namespace Exitless.Vmm.Pci;

/// <summary>The I/O ports that BARs of PCI functions can have.</summary>
internal sealed class PciIoWindow(PciBus bus) : IPortDevice
{
    public uint ReadPort(int offset, int size) => bus.ReadPort((ushort)(BarPlacement.FirstPort + offset), size);

    public void WritePort(int offset, int size, uint value) => bus.WritePort((ushort)(BarPlacement.FirstPort + offset), size, value);
}
