using Exitless.Vmm.Pci;

namespace Exitless.Vmm.Virtio;

/// <summary>
/// The configuration space of a paravirtual device and the layout of its one BAR (virtio 1.2, sections 4.1.2 to 4.1.4): common configuration,
/// ISR status, device configuration, a notification register for each queue, MSI-X table and pending bits, each in a page of its own.
/// </summary>
internal static class VirtioConfigSpace
{
    public const ushort Vendor = 0x1af4;
    public const ushort FirstDevice = 0x1040;

    public const uint BarBytes = 0x8000;
    public const int PageBytes = 0x1000;
    public const int Common = 0, Isr = 0x1000, Device = 0x2000, Notify = 0x3000, Table = 0x4000, Pending = 0x5000;
    /// <summary>Bytes from one queue's notification register to the next one's.</summary>
    public const int NotifyStep = 4;

    public const int Command = 4, Bar = 0x10, Msix = 0x40;
    public const uint MemoryEnable = 2;
    /// <summary>The window by which a driver reaches the BAR through configuration space (4.1.4.9): which BAR, where, how many bytes, and the data.</summary>
    public const int WindowBar = PciWindow + 4, WindowOffset = PciWindow + 8, WindowLength = PciWindow + 12, WindowData = PciWindow + 16;

    private const int CommonCap = 0x4c, NotifyCap = 0x5c, IsrCap = 0x70, DeviceCap = 0x80, PciWindow = 0x90;
    private const uint BusMaster = 4, InterruptDisable = 0x400, HasCapabilities = 1 << 20;
    private const byte VendorSpecific = 9, MsixId = 0x11;

    /// <summary>Makes the space: no bit of it is anybody else's.</summary>
    public static ConfigSpace Make(VirtioDevice device, int vectors, uint address)
    {
        var space = new ConfigSpace();
        for (var i = 0; i < ConfigSpace.Bytes; i += 4)
            space.Patch(i, uint.MaxValue, 0);
        space.Patch(0, uint.MaxValue, Vendor | (uint)(FirstDevice + device.Type) << 16);
        space.Patch(Command, uint.MaxValue, HasCapabilities, writable: MemoryEnable | BusMaster | InterruptDisable);
        space.Patch(8, uint.MaxValue, device.ClassCode << 8 | 1);
        space.Patch(Bar, uint.MaxValue, address, writable: ~(BarBytes - 1));
        // The subsystem's ids are the driver's to ignore: those of QEMU's, which every guest has seen.
        space.Patch(0x2c, uint.MaxValue, Vendor | 0x1100u << 16);
        space.Patch(0x34, uint.MaxValue, Msix);
        space.Patch(0x3c, uint.MaxValue, 0xff, writable: 0xff);

        space.Patch(Msix, uint.MaxValue, MsixId | CommonCap << 8 | (uint)(vectors - 1) << 16, writable: (uint)(MsixTable.EnableBit | MsixTable.FunctionMaskBit) << 16);
        space.Patch(Msix + 4, uint.MaxValue, Table);
        space.Patch(Msix + 8, uint.MaxValue, Pending);
        Capability(space, CommonCap, NotifyCap, 16, type: 1, Common, VirtioRegisters.Bytes);
        Capability(space, NotifyCap, IsrCap, 20, type: 2, Notify, (uint)(device.Queues.Length * NotifyStep));
        space.Patch(NotifyCap + 16, uint.MaxValue, NotifyStep);
        Capability(space, IsrCap, DeviceCap, 16, type: 3, Isr, 1);
        Capability(space, DeviceCap, PciWindow, 16, type: 4, Device, (uint)Math.Max(device.ConfigurationBytes, 4));
        Capability(space, PciWindow, 0, 20, type: 5, 0, 0);
        space.Patch(WindowBar, uint.MaxValue, 0, writable: 0xff);
        space.Patch(WindowOffset, uint.MaxValue, 0, writable: uint.MaxValue);
        space.Patch(WindowLength, uint.MaxValue, 0, writable: uint.MaxValue);
        return space;
    }

    private static void Capability(ConfigSpace space, int at, int next, uint length, uint type, int offset, uint bytes)
    {
        space.Patch(at, uint.MaxValue, VendorSpecific | (uint)next << 8 | length << 16 | type << 24);
        space.Patch(at + 8, uint.MaxValue, (uint)offset);
        space.Patch(at + 12, uint.MaxValue, bytes);
    }
}
