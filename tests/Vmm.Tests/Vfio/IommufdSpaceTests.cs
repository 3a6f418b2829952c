using Exitless.Linux;
using Exitless.Linux.Vfio;
using Exitless.Vmm.Control;
using Exitless.Vmm.Memory;
using Exitless.Vmm.Vfio;

namespace Exitless.Vmm.Tests.Vfio;

/// <summary>Devices by iommufd and their own files, against a scripted kernel.</summary>
public sealed class IommufdSpaceTests : IDisposable
{
    private const string Vf0 = "0000:01:10.0", Vf1 = "0000:01:10.2";
    private static readonly RamRange[] Ram = [new(0, 0xc000_0000, 0x1000_0000), new(0x1_0000_0000, 0x4000_0000, 0xd000_0000)];
    private readonly ScriptedIommufd _kernel = new();
    private readonly IommufdSpace _space;

    public IommufdSpaceTests() => _space = new IommufdSpace(_kernel, _kernel, Ram);

    public void Dispose()
    {
        _space.Dispose();
        Assert.Empty(_kernel.Violations);
    }

    [Fact]
    public void KVM_hears_first_then_the_device_is_bound_attached_asked_what_it_can_reach_and_only_then_memory_is_mapped()
    {
        _space.Join([Device(Vf0)], Descriptors(Vf0));
        Assert.Equal(["ioas", "kvm+", "bind", "attach", "dma 0+c0000000", "dma 100000000+40000000"], _kernel.Journal);
        Assert.Equal([0x1000_0000ul, 0xd000_0000], _kernel.Mapped.Select(m => m.HostAddress));
        Assert.Equal(0xffff_ffff_fffful, _space.Ranges.Last);
        using var device = _space.Open(Device(Vf0), "devices[0]");
        Assert.Equal("reset", Assert.Single(_kernel.Device.Journal));
        Assert.Equal((4096ul, 0x4000ul), (device.Config.Size, device.Bars[3].Size));
    }

    [Fact]
    public void A_second_device_joins_the_same_address_space_and_the_last_one_ends_it()
    {
        _space.Join([Device(Vf0)], Descriptors(Vf0));
        var second = Descriptors(Vf1);
        _kernel.Journal.Clear();
        _space.Join([Device(Vf1)], second);
        Assert.Equal(["kvm+", "bind", "attach"], _kernel.Journal);
        Assert.True(second.Iommufd!.IsClosed);

        _space.Leave(Device(Vf0));
        Assert.True(_kernel.IsOpen);
        _space.Leave(Device(Vf1));
        Assert.Equal((false, 0, 0), (_kernel.IsOpen, _kernel.Known, _kernel.Attached));
        Assert.True(second.Cdevs[Vf1].IsClosed);

        // And again, from the beginning.
        _kernel.Mapped.Clear();
        _space.Join([Device(Vf0)], Descriptors(Vf0));
        Assert.Equal(2, _kernel.Mapped.Count);
    }

    [Fact]
    public void What_the_device_narrows_is_seen_before_anything_is_pinned()
    {
        _kernel.Ranges = [(0, 0xfedf_ffff), (0xfef0_0000, 0x1_1fff_ffff)];
        var descriptors = Descriptors(Vf0);
        var problem = Assert.Throws<VmmProblemException>(() => _space.Join([Device(Vf0)], descriptors));
        Assert.Equal(("iova-out-of-range", "memoryBytes"), (problem.Code, problem.Field));
        Assert.Contains("0x100000000-0x13fffffff", problem.Detail, StringComparison.Ordinal);
        Assert.Contains("0xfef00000-0x11fffffff", problem.Detail, StringComparison.Ordinal);
        Assert.Empty(_kernel.Mapped);
        AssertNothingLeft(descriptors);
    }

    [Fact]
    public void A_device_that_narrows_what_the_others_have_mapped_stays_outside_and_they_stay()
    {
        _space.Join([Device(Vf0)], Descriptors(Vf0));
        _kernel.Ranges = [(0, 0xbfff_ffff)];
        var late = Descriptors(Vf1);
        Assert.Equal("iova-out-of-range", Assert.Throws<VmmProblemException>(() => _space.Join([Device(Vf1)], late)).Code);
        Assert.Equal((1, 1, true, 2), (_kernel.Known, _kernel.Attached, _kernel.IsOpen, _kernel.Mapped.Count));
        Assert.True(late.Cdevs[Vf1].IsClosed);
        late.Dispose();
    }

    [Fact]
    public void Ranges_are_asked_for_again_with_the_room_that_the_kernel_names()
    {
        _kernel.Ranges = [.. Enumerable.Range(0, 300).Select(i => ((ulong)i << 34, ((ulong)i << 34) + 0x3_ffff_ffff))];
        _space.Join([Device(Vf0)], Descriptors(Vf0));
        Assert.Equal((299ul << 34) + 0x3_ffff_ffff, _space.Ranges.Last);
    }

    public static TheoryData<uint, int, string, string> Refusals => new()
    {
        { IommufdRequests.IoasAllocate, Errno.NotTerminal, "no-iommufd", "IOMMU_IOAS_ALLOC" },
        { VfioRequests.DeviceBindIommufd, Errno.Busy, "device-in-use", Vf0 },
        { VfioRequests.DeviceBindIommufd, Errno.NotPermitted, "interrupt-remapping-off", "VFIO_DEVICE_BIND_IOMMUFD" },
        { VfioRequests.DeviceBindIommufd, Errno.NoDevice, "device-not-bound", Vf0 },
        { VfioRequests.DeviceAttachIommufdPageTable, Errno.Invalid, "attach-failed", "VFIO_DEVICE_ATTACH_IOMMUFD_PT" },
    };

    [Theory]
    [MemberData(nameof(Refusals))]
    public void What_the_kernel_refuses_is_said_and_nothing_is_left(uint request, int error, string code, string detail)
    {
        _kernel.Refuse(request, error);
        var descriptors = Descriptors(Vf0, Vf1);
        var problem = Assert.Throws<VmmProblemException>(() => _space.Join([Device(Vf0), Device(Vf1)], descriptors));
        Assert.Equal((code, "devices"), (problem.Code, problem.Field));
        Assert.Contains(detail, problem.Detail, StringComparison.Ordinal);
        Assert.NotEmpty(problem.Remedy);
        AssertNothingLeft(descriptors);
    }

    [Fact]
    public void Memory_that_the_kernel_does_not_take_is_named_and_nothing_is_left()
    {
        _kernel.Refuse(IommufdRequests.IoasMap, Errno.Exists);
        var descriptors = Descriptors(Vf0);
        Assert.Contains("IOMMU_IOAS_MAP 0x0 + 3,221,225,472", Assert.Throws<LinuxException>(() => _space.Join([Device(Vf0)], descriptors)).Message, StringComparison.Ordinal);
        AssertNothingLeft(descriptors);
    }

    [Fact]
    public void A_BAR_that_iommufd_does_not_map_for_peers_is_no_failure()
    {
        _kernel.BarAddress = 0x7000_0000;
        _space.Join([Device(Vf0)], Descriptors(Vf0));
        Assert.False(_space.TryMap(0xc000_0000, 0x4000, 0x7000_0000));
        Assert.True(_space.TryMap(0xc000_0000, 0x4000, 0x7100_0000));
        _space.Unmap(0xc000_0000, 0x4000);
        Assert.Equal(2, _kernel.Mapped.Count);
    }

    [Fact]
    public void Eight_devices_are_bound_and_thereby_reset_at_once()
    {
        using var together = new Barrier(8);
        _kernel.Binding = () => Assert.True(together.SignalAndWait(TimeSpan.FromSeconds(60), TestContext.Current.CancellationToken));
        string[] addresses = [.. Enumerable.Range(0, 8).Select(i => $"0000:01:1{i}.0")];
        _space.Join([.. addresses.Select(Device)], Descriptors(addresses));
        Assert.Equal((8, 8), (_kernel.Known, _kernel.Attached));
    }

    [Fact]
    public void A_device_without_its_file_is_refused_before_anything_is_made()
    {
        var descriptors = Descriptors(Vf0);
        Assert.Equal("vmm-protocol", Assert.Throws<VmmProblemException>(() => _space.Join([Device(Vf0), Device(Vf1)], descriptors)).Code);
        Assert.Empty(_kernel.Journal);
        descriptors.Dispose();
    }

    [Fact]
    public void Devices_of_a_VM_come_by_one_interface_until_the_last_has_left()
    {
        var groups = new ScriptedSpace();
        using var chosen = new ChosenSpace(groups, _space);
        Assert.Null(chosen.IsIommufd);
        chosen.Join([Device(Vf0)], Descriptors(Vf0));
        Assert.True(chosen.IsIommufd);
        var problem = Assert.Throws<VmmProblemException>(() => chosen.Join([Device(Vf1)], new DeviceDescriptors()));
        Assert.Equal("vfio-mixed", problem.Code);
        Assert.Contains("--vfio iommufd", problem.Remedy, StringComparison.Ordinal);
        chosen.Leave(Device(Vf0));
        Assert.Null(chosen.IsIommufd);
        chosen.Join([Device(Vf1)], new DeviceDescriptors());
        Assert.Equal((false, Vf1), (chosen.IsIommufd, Assert.Single(groups.Inside)));
        Assert.Equal((false, 0xffff_ffff_fffful), (_kernel.IsOpen, chosen.Ranges.Last));
        chosen.Leave(Device(Vf1));
    }

    private static VfioDeviceConfig Device(string address) => new(address, 8);

    private static DeviceDescriptors Descriptors(params string[] addresses) => new()
    {
        Iommufd = Files.Open("/dev/null", OpenMode.ReadWrite),
        Cdevs = addresses.ToDictionary(a => a, _ => MemoryFile.Create("device", ScriptedVfio.FileBytes), StringComparer.Ordinal),
    };

    // A refused device's descriptors may stay open for whoever passed them.
    private void AssertNothingLeft(DeviceDescriptors descriptors)
    {
        descriptors.Dispose();
        Assert.Equal((0, false, 0, 0), (_kernel.Known, _kernel.IsOpen, _kernel.Attached, _kernel.Mapped.Count));
        Assert.Equal(0, _kernel.Journal.Count(j => j == "kvm+") - _kernel.Journal.Count(j => j == "kvm-"));
    }
}
