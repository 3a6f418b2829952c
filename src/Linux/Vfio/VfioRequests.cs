namespace Exitless.Linux.Vfio;

/// <summary>ioctl requests and constants of VFIO (linux/vfio.h).</summary>
internal static class VfioRequests
{
    public const uint GetApiVersion = 0x3b64;
    public const uint CheckExtension = 0x3b65;
    public const uint SetIommu = 0x3b66;
    public const uint GroupGetStatus = 0x3b67;
    public const uint GroupSetContainer = 0x3b68;
    public const uint GroupGetDeviceFd = 0x3b6a;
    public const uint DeviceGetInfo = 0x3b6b;
    public const uint DeviceGetRegionInfo = 0x3b6c;
    public const uint DeviceGetIrqInfo = 0x3b6d;
    public const uint DeviceSetIrqs = 0x3b6e;
    public const uint DeviceReset = 0x3b6f;
    public const uint IommuGetInfo = 0x3b70;
    public const uint IommuMapDma = 0x3b71;

    public const int Type1V2 = 3;
    public const uint GroupViable = 1;
    public const uint DeviceCanReset = 1, DeviceIsPci = 2;
    public const uint RegionMappable = 4, RegionHasCapabilities = 8;
    public const ushort SparseMmapCapability = 1, MsixMappableCapability = 3;
    public const uint IrqNoResize = 8;
    public const uint IommuHasCapabilities = 2;
    public const ushort IovaRangeCapability = 1;
    public const uint MapRead = 1, MapWrite = 2;
    public const uint IrqDataNone = 1, IrqDataEventFd = 4, IrqActionTrigger = 0x20;

    public const int ConfigRegion = 7;
    public const int BarRegions = 6;
    public const int MsixIrq = 2;
}
