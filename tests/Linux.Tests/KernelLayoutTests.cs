using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Exitless.Linux.Kvm;
using Exitless.Linux.Vfio;

namespace Exitless.Linux.Tests;

/// <summary>Requests, sizes and offsets as a C compiler gives them for linux/kvm.h, linux/vfio.h and linux/iommufd.h on x86-64.</summary>
public class KernelLayoutTests
{
    private const uint Write = 1, Read = 2;

    /// <summary>The numbers, beside how the header makes them (asm-generic/ioctl.h): direction in bits 31-30, size from 29, type from 15, number from 7.</summary>
    [Fact]
    public void Requests_of_KVM_are_those_of_the_header()
    {
        (uint Number, uint Actual, uint Made)[] requests =
        [
            (0xae00, KvmRequests.GetApiVersion, Make(0, 0xae, 0x00, 0)),
            (0xae01, KvmRequests.CreateVm, Make(0, 0xae, 0x01, 0)),
            (0xae03, KvmRequests.CheckExtension, Make(0, 0xae, 0x03, 0)),
            (0xae04, KvmRequests.GetVcpuMmapSize, Make(0, 0xae, 0x04, 0)),
            (0xc008ae05, KvmRequests.GetSupportedCpuid, Make(Read | Write, 0xae, 0x05, 8)),
            (0xae41, KvmRequests.CreateVcpu, Make(0, 0xae, 0x41, 0)),
            (0x4020ae46, KvmRequests.SetUserMemoryRegion, Make(Write, 0xae, 0x46, Unsafe.SizeOf<KvmMemoryRegion>())),
            (0xae47, KvmRequests.SetTssAddress, Make(0, 0xae, 0x47, 0)),
            (0x4008ae48, KvmRequests.SetIdentityMapAddress, Make(Write, 0xae, 0x48, 8)),
            (0xae60, KvmRequests.CreateIrqchip, Make(0, 0xae, 0x60, 0)),
            (0x4008ae6a, KvmRequests.SetGsiRouting, Make(Write, 0xae, 0x6a, 8)),
            (0x4020ae76, KvmRequests.Irqfd, Make(Write, 0xae, 0x76, Unsafe.SizeOf<KvmIrqfd>())),
            (0xc00caee0, KvmRequests.CreateDevice, Make(Read | Write, 0xae, 0xe0, Unsafe.SizeOf<KvmCreateDevice>())),
            (0x4018aee1, KvmRequests.SetDeviceAttribute, Make(Write, 0xae, 0xe1, Unsafe.SizeOf<KvmDeviceAttribute>())),
            (0x4068aea3, KvmRequests.EnableCapability, Make(Write, 0xae, 0xa3, Unsafe.SizeOf<KvmEnableCapability>())),
            (0xaece, KvmRequests.GetStatisticsFd, Make(0, 0xae, 0xce, 0)),
            (0xae80, KvmRequests.Run, Make(0, 0xae, 0x80, 0)),
            (0x8090ae81, KvmRequests.GetRegisters, Make(Read, 0xae, 0x81, Unsafe.SizeOf<KvmRegisters>())),
            (0x4090ae82, KvmRequests.SetRegisters, Make(Write, 0xae, 0x82, Unsafe.SizeOf<KvmRegisters>())),
            (0x8138ae83, KvmRequests.GetSpecialRegisters, Make(Read, 0xae, 0x83, Unsafe.SizeOf<KvmSpecialRegisters>())),
            (0x4138ae84, KvmRequests.SetSpecialRegisters, Make(Write, 0xae, 0x84, Unsafe.SizeOf<KvmSpecialRegisters>())),
            (0x4008ae89, KvmRequests.SetMsrs, Make(Write, 0xae, 0x89, 8)),
            (0xc004ae02, KvmRequests.GetMsrIndexList, Make(Read | Write, 0xae, 0x02, 4)),
            (0xc208ae62, KvmRequests.GetIrqchip, Make(Read | Write, 0xae, 0x62, 520)),
            (0x8208ae63, KvmRequests.SetIrqchip, Make(Read, 0xae, 0x63, 520)),
            (0xc008ae88, KvmRequests.GetMsrs, Make(Read | Write, 0xae, 0x88, 8)),
            (0x8400ae8e, KvmRequests.GetLapic, Make(Read, 0xae, 0x8e, 1024)),
            (0x4400ae8f, KvmRequests.SetLapic, Make(Write, 0xae, 0x8f, 1024)),
            (0x8004ae98, KvmRequests.GetMpState, Make(Read, 0xae, 0x98, 4)),
            (0x4004ae99, KvmRequests.SetMpState, Make(Write, 0xae, 0x99, 4)),
            (0x8040ae9f, KvmRequests.GetVcpuEvents, Make(Read, 0xae, 0x9f, 64)),
            (0x4040aea0, KvmRequests.SetVcpuEvents, Make(Write, 0xae, 0xa0, 64)),
            (0x8080aea1, KvmRequests.GetDebugRegisters, Make(Read, 0xae, 0xa1, 128)),
            (0x4080aea2, KvmRequests.SetDebugRegisters, Make(Write, 0xae, 0xa2, 128)),
            (0x9000aea4, KvmRequests.GetXsave, Make(Read, 0xae, 0xa4, 4096)),
            (0x5000aea5, KvmRequests.SetXsave, Make(Write, 0xae, 0xa5, 4096)),
            (0x8188aea6, KvmRequests.GetXcrs, Make(Read, 0xae, 0xa6, 392)),
            (0x4188aea7, KvmRequests.SetXcrs, Make(Write, 0xae, 0xa7, 392)),
            (0xaead, KvmRequests.KvmclockPaused, Make(0, 0xae, 0xad, 0)),
            (0xc080aebe, KvmRequests.GetNestedState, Make(Read | Write, 0xae, 0xbe, 128)),
            (0x4080aebf, KvmRequests.SetNestedState, Make(Write, 0xae, 0xbf, 128)),
            (0x9000aecf, KvmRequests.GetXsave2, Make(Read, 0xae, 0xcf, 4096)),
            (0x4004ae8b, KvmRequests.SetSignalMask, Make(Write, 0xae, 0x8b, 4)),
            (0x4008ae90, KvmRequests.SetCpuid2, Make(Write, 0xae, 0x90, 8)),
        ];
        Assert.All(requests, r => Assert.Equal((r.Number, r.Number), (r.Actual, r.Made)));
    }

    [Fact]
    public void Requests_of_VFIO_are_those_of_the_header()
    {
        (uint Number, uint Actual)[] requests =
        [
            (0x3b64, VfioRequests.GetApiVersion), (0x3b65, VfioRequests.CheckExtension), (0x3b66, VfioRequests.SetIommu), (0x3b67, VfioRequests.GroupGetStatus),
            (0x3b68, VfioRequests.GroupSetContainer), (0x3b6a, VfioRequests.GroupGetDeviceFd), (0x3b6b, VfioRequests.DeviceGetInfo), (0x3b6c, VfioRequests.DeviceGetRegionInfo),
            (0x3b6d, VfioRequests.DeviceGetIrqInfo), (0x3b6e, VfioRequests.DeviceSetIrqs), (0x3b6f, VfioRequests.DeviceReset), (0x3b70, VfioRequests.IommuGetInfo),
            (0x3b71, VfioRequests.IommuMapDma), (0x3b72, VfioRequests.IommuUnmapDma), (0x3b76, VfioRequests.DeviceBindIommufd), (0x3b77, VfioRequests.DeviceAttachIommufdPageTable),
        ];
        Assert.All(requests, r => Assert.Equal(r.Number, r.Actual));
    }

    /// <summary>_IO(';', 0x80 + n); the numbers follow the header's enum from IOMMUFD_CMD_BASE on.</summary>
    [Fact]
    public void Requests_of_iommufd_are_those_of_the_header()
    {
        (uint Number, uint Actual)[] requests =
        [
            (Make(0, ';', 0x81, 0), IommufdRequests.IoasAllocate), (Make(0, ';', 0x84, 0), IommufdRequests.IoasIovaRanges),
            (Make(0, ';', 0x85, 0), IommufdRequests.IoasMap), (Make(0, ';', 0x86, 0), IommufdRequests.IoasUnmap),
        ];
        Assert.All(requests, r => Assert.Equal(r.Number, r.Actual));
        Assert.Equal([1u, 2, 4], new[] { IommufdRequests.MapFixedIova, IommufdRequests.MapWritable, IommufdRequests.MapReadable });
    }

    [Fact]
    public void Constants_are_those_of_the_headers()
    {
        Assert.Equal([25, 32, 72, 129, 136, 203], new[]
        {
            KvmCapabilities.IrqRouting, KvmCapabilities.Irqfd, KvmCapabilities.TscDeadlineTimer, KvmCapabilities.X2ApicApi, KvmCapabilities.ImmediateExit, KvmCapabilities.BinaryStatistics,
        });
        Assert.Equal([1u, 1, 2, 2, 4, 1], new[] { KvmIrqfd.Deassign, KvmRoutingEntry.Irqchip, KvmRoutingEntry.Msi, KvmRoutingEntry.IoApic, KvmCreateDevice.Vfio, KvmDeviceAttribute.VfioFile });
        Assert.Equal(1ul, KvmDeviceAttribute.VfioFileAdd);
        Assert.Equal([3, 7, 6, 2], new[] { VfioRequests.Type1V2, VfioRequests.ConfigRegion, VfioRequests.BarRegions, (int)VfioInterrupt.Msix });
        Assert.Equal([1u, 1, 2, 4, 8, 8, 2, 1, 2, 1, 4, 0x20], new[]
        {
            VfioRequests.GroupViable, VfioRequests.DeviceCanReset, VfioRequests.DeviceIsPci, VfioRequests.RegionMappable, VfioRequests.RegionHasCapabilities, VfioRequests.IrqNoResize,
            VfioRequests.IommuHasCapabilities, VfioRequests.MapRead, VfioRequests.MapWrite, VfioRequests.IrqDataNone, VfioRequests.IrqDataEventFd, VfioRequests.IrqActionTrigger,
        });
        Assert.Equal([1, 3, 1], new int[] { VfioRequests.SparseMmapCapability, VfioRequests.MsixMappableCapability, VfioRequests.IovaRangeCapability });
    }

    [Fact]
    public void Structures_have_the_kernels_size()
    {
        Assert.Equal(144, Unsafe.SizeOf<KvmRegisters>());
        Assert.Equal(24, Unsafe.SizeOf<KvmSegment>());
        Assert.Equal(16, Unsafe.SizeOf<KvmDescriptorTable>());
        Assert.Equal(312, Unsafe.SizeOf<KvmSpecialRegisters>());
        Assert.Equal(32, Unsafe.SizeOf<KvmMemoryRegion>());
        Assert.Equal(40, Unsafe.SizeOf<KvmCpuidEntry>());
        Assert.Equal(16, Unsafe.SizeOf<KvmMsrEntry>());
        Assert.Equal(32, Unsafe.SizeOf<KvmIrqfd>());
        Assert.Equal(48, Unsafe.SizeOf<KvmRoutingEntry>());
        Assert.Equal(12, Unsafe.SizeOf<KvmCreateDevice>());
        Assert.Equal(24, Unsafe.SizeOf<KvmDeviceAttribute>());
        Assert.Equal(104, Unsafe.SizeOf<KvmEnableCapability>());
        Assert.Equal(8, Unsafe.SizeOf<VfioGroupStatus>());
        // 20 since Linux 6.0, whose kernels still take the 16 of those before.
        Assert.Equal(16, Unsafe.SizeOf<VfioDeviceInfo>());
        Assert.Equal(32, Unsafe.SizeOf<VfioRegionInfo>());
        Assert.Equal(16, Unsafe.SizeOf<VfioIrqInfo>());
        Assert.Equal(24, Unsafe.SizeOf<VfioIommuInfo>());
        Assert.Equal(32, Unsafe.SizeOf<VfioDmaMap>());
        // 24 since Linux 6.17 and 16 since 6.15, whose kernels still take those before.
        Assert.Equal(16, Unsafe.SizeOf<VfioDeviceBindIommufd>());
        Assert.Equal(12, Unsafe.SizeOf<VfioDeviceAttachIommufdPageTable>());
        Assert.Equal(12, Unsafe.SizeOf<IommuIoasAllocate>());
        Assert.Equal(32, Unsafe.SizeOf<IommuIoasIovaRanges>());
        Assert.Equal(40, Unsafe.SizeOf<IommuIoasMap>());
        Assert.Equal(24, Unsafe.SizeOf<IommuIoasUnmap>());
    }

    [Fact]
    public void Fields_lie_where_the_kernel_has_them()
    {
        Assert.Equal(128, Offset<KvmRegisters>(nameof(KvmRegisters.Rip)));
        Assert.Equal(14, Offset<KvmSegment>(nameof(KvmSegment.Type)));
        Assert.Equal(22, Offset<KvmSegment>(nameof(KvmSegment.Unusable)));
        Assert.Equal(224, Offset<KvmSpecialRegisters>(nameof(KvmSpecialRegisters.Cr0)));
        Assert.Equal(264, Offset<KvmSpecialRegisters>(nameof(KvmSpecialRegisters.Efer)));
        Assert.Equal(272, Offset<KvmSpecialRegisters>(nameof(KvmSpecialRegisters.ApicBase)));
        Assert.Equal(24, Offset<KvmMemoryRegion>(nameof(KvmMemoryRegion.HostAddress)));
        Assert.Equal(12, Offset<KvmIrqfd>(nameof(KvmIrqfd.ResampleDescriptor)));
        Assert.Equal(16, Offset<KvmRoutingEntry>(nameof(KvmRoutingEntry.AddressLow)));
        Assert.Equal(20, Offset<KvmRoutingEntry>(nameof(KvmRoutingEntry.AddressHigh)));
        Assert.Equal(24, Offset<KvmRoutingEntry>(nameof(KvmRoutingEntry.Data)));
        Assert.Equal(8, Offset<KvmDeviceAttribute>(nameof(KvmDeviceAttribute.Attribute)));
        Assert.Equal(16, Offset<KvmDeviceAttribute>(nameof(KvmDeviceAttribute.Address)));
        Assert.Equal(8, Offset<KvmEnableCapability>(nameof(KvmEnableCapability.Argument0)));
        Assert.Equal(12, Offset<VfioDeviceInfo>(nameof(VfioDeviceInfo.Irqs)));
        Assert.Equal(12, Offset<VfioRegionInfo>(nameof(VfioRegionInfo.CapabilityOffset)));
        Assert.Equal(16, Offset<VfioRegionInfo>(nameof(VfioRegionInfo.Size)));
        Assert.Equal(24, Offset<VfioRegionInfo>(nameof(VfioRegionInfo.Offset)));
        Assert.Equal(12, Offset<VfioIrqInfo>(nameof(VfioIrqInfo.Count)));
        Assert.Equal(8, Offset<VfioIommuInfo>(nameof(VfioIommuInfo.PageSizes)));
        Assert.Equal(16, Offset<VfioIommuInfo>(nameof(VfioIommuInfo.CapabilityOffset)));
        Assert.Equal(8, Offset<VfioDmaMap>(nameof(VfioDmaMap.HostAddress)));
        Assert.Equal(16, Offset<VfioDmaMap>(nameof(VfioDmaMap.Iova)));
        Assert.Equal(24, Offset<VfioDmaMap>(nameof(VfioDmaMap.Size)));
        Assert.Equal(8, Offset<VfioDeviceBindIommufd>(nameof(VfioDeviceBindIommufd.Iommufd)));
        Assert.Equal(12, Offset<VfioDeviceBindIommufd>(nameof(VfioDeviceBindIommufd.DeviceId)));
        Assert.Equal(8, Offset<VfioDeviceAttachIommufdPageTable>(nameof(VfioDeviceAttachIommufdPageTable.PageTableId)));
        Assert.Equal(8, Offset<IommuIoasAllocate>(nameof(IommuIoasAllocate.IoasId)));
        Assert.Equal(8, Offset<IommuIoasIovaRanges>(nameof(IommuIoasIovaRanges.Count)));
        Assert.Equal(16, Offset<IommuIoasIovaRanges>(nameof(IommuIoasIovaRanges.Array)));
        Assert.Equal(8, Offset<IommuIoasMap>(nameof(IommuIoasMap.IoasId)));
        Assert.Equal(16, Offset<IommuIoasMap>(nameof(IommuIoasMap.HostAddress)));
        Assert.Equal(24, Offset<IommuIoasMap>(nameof(IommuIoasMap.Length)));
        Assert.Equal(32, Offset<IommuIoasMap>(nameof(IommuIoasMap.Iova)));
        Assert.Equal(8, Offset<IommuIoasUnmap>(nameof(IommuIoasUnmap.Iova)));
        Assert.Equal(16, Offset<IommuIoasUnmap>(nameof(IommuIoasUnmap.Length)));
    }

    private static uint Make(uint direction, uint type, uint number, int size) => (direction << 30) | ((uint)size << 16) | (type << 8) | number;

    private static int Offset<T>(string field) => (int)Marshal.OffsetOf<T>(field);
}
