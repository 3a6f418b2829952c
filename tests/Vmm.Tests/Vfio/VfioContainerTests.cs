using Exitless.Linux;
using Exitless.Linux.Vfio;
using Exitless.Vmm.Control;
using Exitless.Vmm.Memory;
using Exitless.Vmm.Vfio;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Tests.Vfio;

public class VfioContainerTests
{
    private readonly ScriptedVfio _vfio = new();

    [Fact]
    public void Groups_join_before_the_IOMMU_is_chosen_and_memory_comes_last()
    {
        using var container = Open(7, 9);
        container.Map([new RamRange(0, 0xc000_0000, 0x1000_0000), new RamRange(0x1_0000_0000, 0x4000_0000, 0xd000_0000)]);
        Assert.Equal(["join", "join", "iommu 3", "dma 0+c0000000", "dma 100000000+40000000"], _vfio.Journal);
        Assert.Equal((32u, 3u, 0xd000_0000ul), (_vfio.Mapped[1].ArgumentSize, _vfio.Mapped[1].Flags, _vfio.Mapped[1].HostAddress));
    }

    [Fact]
    public void A_group_that_is_in_a_container_is_viable_too()
    {
        _vfio.GroupFlags = 3;
        using var container = Open(7);
        Assert.Equal(0xffff_ffff_fffful, container.Ranges.Last);
    }

    public static TheoryData<string, string, string> Refusals => new()
    {
        { "version", "vfio-api-version", "version 1" }, { "not VFIO", "vfio-api-version", "errno 25" }, { "type 1", "vfio-no-type1v2", "VFIO_TYPE1v2_IOMMU" },
        { "not viable", "group-not-viable", "group 7" }, { "not a group", "no-vfio", "/dev/vfio/7" }, { "busy", "group-in-use", "Group 7" },
        { "no remapping", "interrupt-remapping-off", "errno 1" }, { "no IOMMU", "no-vfio", "VFIO_SET_IOMMU" },
    };

    [Theory]
    [MemberData(nameof(Refusals))]
    public void What_the_host_lacks_is_said_and_nothing_is_mapped(string defect, string code, string detail)
    {
        switch (defect)
        {
            case "version": _vfio.Version = 1; break;
            case "not VFIO": _vfio.Refuse(VfioRequests.GetApiVersion, Errno.NotTerminal); break;
            case "type 1": _vfio.Type1 = 0; break;
            case "not viable": _vfio.GroupFlags = 2; break;
            case "not a group": _vfio.Refuse(VfioRequests.GroupGetStatus, Errno.NotTerminal); break;
            case "busy": _vfio.Refuse(VfioRequests.GroupSetContainer, Errno.Busy); break;
            case "no remapping": _vfio.Refuse(VfioRequests.SetIommu, Errno.NotPermitted); break;
            case "no IOMMU": _vfio.Refuse(VfioRequests.SetIommu, Errno.NoDevice); break;
            default: Assert.Fail(defect); break;
        }
        var problem = Assert.Throws<VmmProblemException>(() => Open(7));
        Assert.Equal((code, "devices"), (problem.Code, problem.Field));
        Assert.Contains(detail, problem.Detail, StringComparison.Ordinal);
        Assert.NotEmpty(problem.Remedy);
        Assert.Empty(_vfio.Mapped);
    }

    [Fact]
    public void A_group_that_is_not_viable_is_where_to_look()
    {
        _vfio.GroupFlags = 0;
        Assert.Contains("/sys/kernel/iommu_groups/7/devices", Assert.Throws<VmmProblemException>(() => Open(7)).Remedy, StringComparison.Ordinal);
    }

    [Fact]
    public void Memory_above_a_39_bit_IOMMU_is_refused_with_its_end()
    {
        _vfio.Ranges = [(0, 0xfedf_ffff), (0xfef0_0000, 0x7f_ffff_ffff)];
        using var container = Open(7);
        container.Ranges.Check("Guest memory", 0x7f_f000_0000, 0x1000_0000, "memoryBytes");
        var problem = Assert.Throws<VmmProblemException>(() => container.Ranges.Check("Guest memory", 0x7f_f000_0000, 0x2000_0000, "memoryBytes"));
        Assert.Equal(("iova-out-of-range", "memoryBytes"), (problem.Code, problem.Field));
        Assert.Contains("0x7ff0000000-0x800fffffff", problem.Detail, StringComparison.Ordinal);
        Assert.Contains("0xfef00000-0x7fffffffff", problem.Detail, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0xfe00_0000, 0x0200_0000)] // across the range of interrupts
    [InlineData(0xfee0_0000, 0x1000)]
    [InlineData(0xffff_ffff_f000, 0x2000)]
    [InlineData(0xffff_ffff_ffff_f000, 0x1000)]
    public void Addresses_that_are_not_wholly_in_one_range_are_refused(ulong start, ulong size)
    {
        using var container = Open(7);
        Assert.Equal("iova-out-of-range", Assert.Throws<VmmProblemException>(() => container.Ranges.Check("BAR 0", start, size, "devices[0]")).Code);
    }

    [Fact]
    public void A_kernel_that_does_not_tell_ranges_is_believed()
    {
        _vfio.Ranges = null;
        using var container = Open(7);
        container.Ranges.Check("Guest memory", 1UL << 60, 0x1000, "memoryBytes");
        Assert.Equal(ulong.MaxValue, container.Ranges.Last);
    }

    [Fact]
    public void Ranges_are_found_behind_other_capabilities_and_in_an_answer_that_needs_more_room()
    {
        _vfio.Padding = 3;
        _vfio.Ranges = [.. Enumerable.Range(0, 400).Select(i => ((ulong)i << 32, ((ulong)i << 32) + 0xffff_ffff))];
        using var container = Open(7);
        Assert.Equal(0x18f_ffff_fffful, container.Ranges.Last);
    }

    [Fact]
    public void A_chain_without_end_is_left()
    {
        _vfio.Padding = 70;
        using var container = Open(7);
        Assert.Equal(ulong.MaxValue, container.Ranges.Last);
    }

    [Fact]
    public void A_mapping_that_fails_for_another_reason_than_the_limit_is_named()
    {
        using var container = Open(7);
        _vfio.Refuse(VfioRequests.IommuMapDma, Errno.Exists);
        var failure = Assert.Throws<LinuxException>(() => container.Map([new RamRange(0x1_0000_0000, 0x1000, 0)]));
        Assert.Contains("VFIO_IOMMU_MAP_DMA 0x100000000 + 4,096", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_limit_of_locked_memory_is_raised_if_it_may_be_and_refused_with_both_figures_if_not()
    {
        const ulong mebibyte = 1 << 20;
        var unprivileged = new ProcessStatus(0, 2 * mebibyte);
        var limit = new ResourceLimit(8 * mebibyte, 64 * mebibyte);
        Assert.Equal(limit, LockedMemory.Decide(limit, unprivileged, 6 * mebibyte));
        Assert.Equal(limit with { Soft = 64 * mebibyte }, LockedMemory.Decide(limit, unprivileged, 62 * mebibyte));
        Assert.Equal(limit, LockedMemory.Decide(limit, new ProcessStatus(1 << 14, 0), 1000 * mebibyte));
        var problem = Assert.Throws<VmmProblemException>(() => LockedMemory.Decide(limit, unprivileged, 63 * mebibyte));
        Assert.Equal(("memlock-too-low", "memoryBytes"), (problem.Code, problem.Field));
        Assert.Contains("68,157,440 bytes", problem.Detail, StringComparison.Ordinal);
        Assert.Contains("(RLIMIT_MEMLOCK) is 67,108,864", problem.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public void The_kernels_lack_of_memory_is_laid_on_the_limit_only_if_it_is_the_reason()
    {
        var limit = new ResourceLimit(4096, 4096);
        Assert.Equal("memlock-too-low", LockedMemory.Explain(limit, new ProcessStatus(0, 4096), 1)?.Code);
        Assert.Null(LockedMemory.Explain(limit, new ProcessStatus(0, 0), 4096));
        Assert.Null(LockedMemory.Explain(limit, new ProcessStatus(1 << 14, 4096), 4096));
    }

    private VfioContainer Open(params int[] groups) => new(_vfio, Null(), [.. groups.Select(number => (number, Null()))]);

    private static SafeFileHandle Null() => Files.Open("/dev/null", OpenMode.ReadWrite);
}
