namespace Exitless.Linux.Vfio;

/// <summary>ioctl requests and constants of iommufd (linux/iommufd.h). Each argument begins with its own size; the kernel takes longer ones whose rest is zero.</summary>
internal static class IommufdRequests
{
    public const uint IoasAllocate = 0x3b81;
    public const uint IoasIovaRanges = 0x3b84;
    public const uint IoasMap = 0x3b85;
    public const uint IoasUnmap = 0x3b86;

    public const uint MapFixedIova = 1, MapWritable = 2, MapReadable = 4;
}
