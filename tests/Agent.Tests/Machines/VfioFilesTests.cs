using Exitless.Agent.Machines;
using Exitless.Agent.Tests.Trees;
using Exitless.Contracts;

namespace Exitless.Agent.Tests.Machines;

/// <summary>The choice between iommufd and groups, on a tree with the names that Linux 6.6 and later give (Documentation/ABI/testing/sysfs-devices-vfio-dev).</summary>
public sealed class VfioFilesTests : IDisposable
{
    private static readonly string[] Both = [RecordedHost.Vf0, RecordedHost.Vf1];
    private readonly RecordedHost _host = new();

    public VfioFilesTests()
    {
        foreach (var file in (string[])["kvm", "vfio/vfio", "vfio/8", "vfio/9"])
            _host.Write("dev/" + file, "");
    }

    public void Dispose() => _host.Dispose();

    [Fact]
    public void A_host_without_iommufd_gives_groups()
    {
        Assert.False(VfioFiles.ByIommufd(_host.Root, Both, VfioInterface.Auto));
        var problem = Assert.Throws<ProblemException>(() => VfioFiles.ByIommufd(_host.Root, Both, VfioInterface.Iommufd)).Problem;
        Assert.Equal("no-iommufd", problem.Code);
        Assert.Contains("/dev/iommu does not exist", problem.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public void One_device_without_a_file_of_its_own_and_all_come_by_their_groups()
    {
        AddIommufd((RecordedHost.Vf0, "vfio0"));
        Assert.False(VfioFiles.ByIommufd(_host.Root, Both, VfioInterface.Auto));
        Assert.True(VfioFiles.ByIommufd(_host.Root, [RecordedHost.Vf0], VfioInterface.Auto));
        Assert.Contains(RecordedHost.Vf1, Assert.Throws<ProblemException>(() => VfioFiles.ByIommufd(_host.Root, Both, VfioInterface.Iommufd)).Problem.Detail, StringComparison.Ordinal);
        Assert.False(VfioFiles.ByIommufd(_host.Root, [RecordedHost.Vf0], VfioInterface.Groups));
    }

    [Fact]
    public void A_launch_passes_the_devices_own_files_where_there_are_any_and_their_groups_where_somebody_wants_that()
    {
        AddIommufd((RecordedHost.Vf0, "vfio0"), (RecordedHost.Vf1, "vfio1"));
        var plan = _host.Preflight.Check(new WantedVm
        {
            VmId = "0198b6b2-0000-7000-8000-000000000001",
            Name = "web",
            Vcpus = 1,
            MemoryMib = 256,
            Kernel = "good.vmlinuz",
            Devices = { Both.Select(a => new WantedDevice { Address = a }) },
        });
        using (var chosen = LaunchDescriptors.Open(plan, _host.Root))
            Assert.Equal((true, 2, true, 0), (chosen.Iommufd is not null, chosen.Cdevs.Count, chosen.VfioContainer is null, chosen.Groups.Count));
        using var groups = LaunchDescriptors.Open(plan, _host.Root, VfioInterface.Groups);
        Assert.Equal((true, 0, false, 2), (groups.Iommufd is null, groups.Cdevs.Count, groups.VfioContainer is null, groups.Groups.Count));
    }

    [Fact]
    public void A_kernel_without_containers_is_a_host_with_VFIO_all_the_same()
    {
        _host.Delete("dev/vfio/vfio");
        Assert.False(Exitless.Agent.Inventory.HostCapabilities.Read(_host.Root).Single(c => c.Name == "vfio").Present);
        _host.Write("dev/iommu", "");
        Assert.True(Exitless.Agent.Inventory.HostCapabilities.Read(_host.Root).Single(c => c.Name == "vfio").Present);
    }

    private void AddIommufd(params (string Address, string Name)[] devices)
    {
        _host.Write("dev/iommu", "");
        foreach (var (address, name) in devices)
        {
            _host.Write($"sys/bus/pci/devices/{address}/vfio-dev/{name}/dev", "511:0");
            _host.Write($"dev/vfio/devices/{name}", "");
        }
    }
}
