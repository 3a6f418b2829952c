using System.Runtime.InteropServices;

namespace Exitless.Linux.Vfio;

/// <summary>struct vfio_group_status.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct VfioGroupStatus
{
    public uint ArgumentSize;
    public uint Flags;
}

/// <summary>struct vfio_device_info, as far as kernels before 6.0 have it.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct VfioDeviceInfo
{
    public uint ArgumentSize;
    public uint Flags;
    public uint Regions;
    public uint Irqs;
}

/// <summary>struct vfio_region_info; capabilities may follow.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct VfioRegionInfo
{
    public uint ArgumentSize;
    public uint Flags;
    public uint Index;
    public uint CapabilityOffset;
    public ulong Size;
    public ulong Offset;
}

/// <summary>struct vfio_irq_info.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct VfioIrqInfo
{
    public uint ArgumentSize;
    public uint Flags;
    public uint Index;
    public uint Count;
}

/// <summary>struct vfio_iommu_type1_info; capabilities may follow.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct VfioIommuInfo
{
    public uint ArgumentSize;
    public uint Flags;
    public ulong PageSizes;
    public uint CapabilityOffset;
    private readonly uint _padding;
}

/// <summary>struct vfio_iommu_type1_dma_map.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct VfioDmaMap
{
    public uint ArgumentSize;
    public uint Flags;
    public ulong HostAddress;
    public ulong Iova;
    public ulong Size;
}

/// <summary>struct vfio_iommu_type1_dma_unmap.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct VfioDmaUnmap
{
    public uint ArgumentSize;
    public uint Flags;
    public ulong Iova;
    public ulong Size;
}

/// <summary>struct vfio_device_bind_iommufd, as far as kernels before 6.17 have it.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct VfioDeviceBindIommufd
{
    public uint ArgumentSize;
    public uint Flags;
    public int Iommufd;
    public uint DeviceId;
}

/// <summary>struct vfio_device_attach_iommufd_pt, as far as kernels before 6.15 have it.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct VfioDeviceAttachIommufdPageTable
{
    public uint ArgumentSize;
    public uint Flags;
    public uint PageTableId;
}
