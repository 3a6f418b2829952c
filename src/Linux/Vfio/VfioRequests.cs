namespace Exitless.Linux.Vfio;

/// <summary>ioctl requests and constants of VFIO (linux/vfio.h).</summary>
internal static class VfioRequests
{
    public const uint GetApiVersion = 0x3b64;
    public const uint CheckExtension = 0x3b65;
    public const uint SetIommu = 0x3b66;
    public const uint GroupGetStatus = 0x3b67;
    public const uint GroupSetContainer = 0x3b68;
    public const uint GroupUnsetContainer = 0x3b69;
    public const uint GroupGetDeviceFd = 0x3b6a;
    public const uint DeviceGetInfo = 0x3b6b;
    public const uint DeviceGetRegionInfo = 0x3b6c;
    public const uint DeviceGetIrqInfo = 0x3b6d;
    public const uint DeviceSetIrqs = 0x3b6e;
    public const uint DeviceReset = 0x3b6f;
    public const uint IommuGetInfo = 0x3b70;
    public const uint IommuMapDma = 0x3b71;
    public const uint IommuUnmapDma = 0x3b72;
    public const uint DeviceBindIommufd = 0x3b76;
    public const uint DeviceAttachIommufdPageTable = 0x3b77;

    public const int Type1V2 = 3;
    public const uint GroupViable = 1;
    public const uint DeviceCanReset = 1, DeviceIsPci = 2;
    public const uint RegionMappable = 4, RegionHasCapabilities = 8;
    public const ushort SparseMmapCapability = 1, MsixMappableCapability = 3;
    public const uint IrqNoResize = 8;
    public const uint IommuHasCapabilities = 2;
    public const ushort IovaRangeCapability = 1, DmaAvailableCapability = 3;
    public const uint MapRead = 1, MapWrite = 2;
    public const uint IrqDataNone = 1, IrqDataEventFd = 4, IrqActionUnmask = 0x10, IrqActionTrigger = 0x20;

    public const int ConfigRegion = 7, RomRegion = 6;
    public const int BarRegions = 6;
}

/// <summary>The kinds of interrupts that a PCI device has (VFIO_PCI_*_IRQ_INDEX).</summary>
internal enum VfioInterrupt
{
    /// <summary>The level-triggered pin.</summary>
    Intx = 0,
    Msi = 1,
    Msix = 2,
    /// <summary>PCI Express reported an error that the device does not recover from by itself (AER).</summary>
    Error = 3,
    /// <summary>The host wants the device back. Comes again until it has it.</summary>
    Request = 4,
}
