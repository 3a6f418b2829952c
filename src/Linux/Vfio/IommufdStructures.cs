using System.Runtime.InteropServices;

namespace Exitless.Linux.Vfio;

/// <summary>struct iommu_ioas_alloc.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct IommuIoasAllocate
{
    public uint Size;
    public uint Flags;
    public uint IoasId;
}

/// <summary>struct iommu_ioas_iova_ranges. The array that it points at has pairs of 64-bit numbers: first and last address.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct IommuIoasIovaRanges
{
    public uint Size;
    public uint IoasId;
    public uint Count;
    private readonly uint _reserved;
    public ulong Array;
    public ulong Alignment;
}

/// <summary>struct iommu_ioas_map.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct IommuIoasMap
{
    public uint Size;
    public uint Flags;
    public uint IoasId;
    private readonly uint _reserved;
    public ulong HostAddress;
    public ulong Length;
    public ulong Iova;
}

/// <summary>struct iommu_ioas_unmap.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct IommuIoasUnmap
{
    public uint Size;
    public uint IoasId;
    public ulong Iova;
    public ulong Length;
}
