using Exitless.Agent.Tests.Trees;

namespace Exitless.Agent.Tests.Inventory;

public sealed class InventoryTests : IDisposable
{
    private readonly RecordedHost _host = new();

    public void Dispose() => _host.Dispose();

    [Fact]
    public void A_PF_and_its_VFs_are_told_apart_with_groups_and_MACs()
    {
        _host.Write("usr/share/misc/pci.ids", "# comment\n8086  Intel Corporation\n\t10c9  82576 Gigabit Network Connection\n\t\t8086 a03c  Gigabit ET Dual Port\n\t10ca  82576 Virtual Function\nC 02  Network controller\n\t10ca  not a device");
        var devices = _host.ReadInventory().Devices.ToDictionary(d => d.Address);
        var (pf, vf) = (devices[RecordedHost.Pf], devices[RecordedHost.Vf1]);
        Assert.Equal((7u, 2u, "igb", "eth1", true), (pf.SriovTotalVfs, pf.SriovNumVfs, pf.Driver, pf.NetInterfaces.Single(), pf.LinkUp));
        Assert.Equal((RecordedHost.Pf, 1u, 9u, "52:54:00:00:01:01", "", ""), (vf.PfAddress, vf.VfIndex, vf.IommuGroup, vf.Mac, vf.Driver, vf.InUse));
        Assert.Equal("Intel Corporation 82576 Virtual Function", vf.Name);
        Assert.False(vf.HasNumaNode);
        Assert.Equal(0x020000u, vf.ClassCode);
    }

    [Fact]
    public void The_host_itself_is_told()
    {
        var inventory = _host.ReadInventory();
        Assert.Equal(("AuthenticAMD", "6.12.95+deb12-amd64", 2014208ul * 1024), (inventory.CpuVendor, inventory.Kernel, inventory.MemoryBytes));
        Assert.Equal([0u, 1u], inventory.OnlineCpus);
        Assert.Equal((2048ul * 1024, 64ul, 60ul), inventory.HugePages.Select(h => (h.PageBytes, h.Total, h.Free)).Single());
        Assert.Equal(["good.initrd", "good.vmlinuz"], inventory.Images.Select(i => i.Name));
        Assert.All(inventory.Capabilities, c => Assert.True(c.Present && c.Remedy.Length == 0, c.ToString()));
    }

    [Theory]
    [InlineData(RecordedHost.Disk, "carries the root disk (/dev/sda1)")]
    [InlineData(RecordedHost.Management, "carries the route to the control plane (eth0 to 10.0.2.2)")]
    [InlineData(RecordedHost.Bridge, "is a bridge of the host")]
    [InlineData(RecordedHost.Pf, "has 2 VFs; set its number of VFs to 0 to assign the whole function")]
    [InlineData(RecordedHost.Gpu, "")]
    public void What_hangs_on_a_device_is_named(string address, string use) => Assert.Equal(use, UseOf(address));

    [Fact]
    public void Swap_counts_where_the_root_is_elsewhere()
    {
        _host.Write("proc/self/mountinfo", "21 1 0:25 / / rw - overlay overlay rw");
        Assert.Equal("carries swap (/dev/sda2)", UseOf(RecordedHost.Disk));
    }

    [Fact]
    public void A_swap_file_hangs_on_the_disk_of_its_file_system()
    {
        _host.Write("proc/swaps", "Filename Type Size Used Priority\n/data/swap file 1 0 -2");
        _host.Write("proc/self/mountinfo", "21 1 0:25 / / rw - overlay overlay rw\n22 21 0:44 / /data rw - btrfs /dev/sda1 rw");
        Assert.Equal("carries the mounted file system /data (/dev/sda1)", UseOf(RecordedHost.Disk));
    }

    [Fact]
    public void Device_mapper_is_followed_down_to_the_disk()
    {
        _host.AddDisk("dm-0", "sys/devices/virtual/block/dm-0", "253:0");
        _host.Link("sys/devices/virtual/block/dm-0/slaves/sda1", _host.At($"{RecordedHost.Device(RecordedHost.Disk)}/ata1/host0/target0:0:0/0:0:0:0/block/sda/sda1"));
        _host.Write("proc/swaps", "Filename");
        _host.Write("proc/self/mountinfo", "21 1 253:0 / / rw - ext4 /dev/mapper/root rw");
        Assert.Equal("carries the root disk (/dev/mapper/root)", UseOf(RecordedHost.Disk));
    }

    [Fact]
    public void NVMe_multipath_is_followed_to_its_controllers()
    {
        _host.AddDisk("nvme0n1", "sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1", "259:0");
        Directory.CreateDirectory(_host.At($"{RecordedHost.Device(RecordedHost.Gpu)}/nvme/nvme0"));
        _host.Link("sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0", _host.At($"{RecordedHost.Device(RecordedHost.Gpu)}/nvme/nvme0"));
        _host.Write("proc/self/mountinfo", "21 1 259:0 / / rw - ext4 /dev/nvme0n1 rw");
        Assert.Equal("carries the root disk (/dev/nvme0n1)", UseOf(RecordedHost.Gpu));
    }

    [Theory]
    [InlineData(null, "carries the volume md0 (which has /dev/nvme0n1p1)")]
    [InlineData("vault-data", "carries the volume vault-data (which has /dev/nvme0n1p1)")]
    public void A_disk_in_a_volume_is_in_use_though_nothing_of_it_is_mounted(string? volume, string use)
    {
        AddNvme();
        Assert.Equal("", UseOf(RecordedHost.Gpu));
        var holder = volume is null ? "md0" : "dm-0";
        _host.AddDisk(holder, $"sys/devices/virtual/block/{holder}", "253:0");
        if (volume is not null)
            _host.Write($"sys/devices/virtual/block/{holder}/dm/name", volume);
        _host.Link($"{Namespace}/nvme0n1p1/holders/{holder}", _host.At($"sys/devices/virtual/block/{holder}"));
        Assert.Equal(use, UseOf(RecordedHost.Gpu));
    }

    [Fact]
    public void Every_disk_of_a_btrfs_is_in_use_though_the_table_of_mounts_names_one()
    {
        AddNvme();
        _host.Link("sys/fs/btrfs/6f1c/devices/nvme0n1p1", _host.At(Namespace + "/nvme0n1p1"));
        Assert.Equal("carries a part of a mounted btrfs (/dev/nvme0n1p1, 6f1c)", UseOf(RecordedHost.Gpu));
    }

    [Fact]
    public void A_disk_that_a_program_has_open_is_in_use()
    {
        AddNvme();
        _host.AddProcess(4711, "exitless-vmm", "/dev/nvme0n1p1");
        Assert.Equal("carries /dev/nvme0n1p1, which a program has open (process 4711, exitless-vmm)", UseOf(RecordedHost.Gpu));
    }

    [Fact]
    public void A_program_that_asks_the_controller_itself_holds_no_disk()
    {
        AddNvme();
        _host.AddProcess(4711, "smartd", "/dev/nvme0");
        Assert.Equal("", UseOf(RecordedHost.Gpu));
    }

    [Fact]
    public void The_route_is_followed_through_a_bond_to_a_VF_and_its_PF()
    {
        _host.AddNet("eth2", RecordedHost.Vf1, 5, null);
        _host.AddVirtualNet("bond0", 9, "eth2");
        _host.Netlink.Routes[_host.ControlPlane[0]] = 9;
        Assert.Equal("carries the route to the control plane (bond0 to 10.0.2.2)", UseOf(RecordedHost.Vf1));
        Assert.StartsWith("is the PF of 0000:01:10.2, which carries the route", UseOf(RecordedHost.Pf));
    }

    [Fact]
    public void With_no_known_control_plane_the_default_route_counts()
    {
        _host.ControlPlane = [];
        Assert.Equal("carries the host's default route (eth0)", UseOf(RecordedHost.Management));
    }

    [Theory]
    [InlineData("qemu-system-x86", "0::/user.slice", "belongs to QEMU (process 4711, qemu-system-x86)")]
    [InlineData("qemu-system-x86", "0::/machine.slice/machine-qemu\\x2d1\\x2dweb.scope", "belongs to libvirt (process 4711, qemu-system-x86)")]
    [InlineData("dpdk-testpmd", "0::/", "belongs to dpdk-testpmd (process 4711, dpdk-testpmd)")]
    public void Who_holds_a_group_open_is_named(string name, string cgroup, string use)
    {
        _host.SetDriver(RecordedHost.Vf0, "vfio-pci");
        _host.AddProcess(4711, name, "/dev/vfio/8", cgroup);
        Assert.Equal(use, UseOf(RecordedHost.Vf0));
        _host.Claims.Take("own", "own", [RecordedHost.Vf0]);
        Assert.Equal("", UseOf(RecordedHost.Vf0));
    }

    [Fact]
    public void An_override_that_is_not_ours_is_another_managers()
    {
        _host.Write($"{RecordedHost.Device(RecordedHost.Vf0)}/driver_override", "vfio-pci");
        Assert.Contains("another manager, such as libvirt or driverctl (driver_override is vfio-pci)", UseOf(RecordedHost.Vf0));
    }

    [Fact]
    public void A_device_that_was_set_aside_for_vfio_and_is_held_by_nobody_is_free()
    {
        _host.SetDriver(RecordedHost.Vf0, "vfio-pci");
        Assert.Equal("", UseOf(RecordedHost.Vf0));
    }

    [Fact]
    public void A_device_of_DPDK_is_in_use()
    {
        _host.SetDriver(RecordedHost.Vf0, "igb_uio");
        Assert.Equal("belongs to DPDK (driver igb_uio)", UseOf(RecordedHost.Vf0));
    }

    private const string Namespace = "sys/devices/pci0000:00/" + RecordedHost.Gpu + "/nvme/nvme0/nvme0n1";

    // The card that is free in the recorded host, as an NVMe controller with a partitioned disk.
    private void AddNvme() => _host.AddDisk("nvme0n1", Namespace, "259:0", ("nvme0n1p1", "259:1"));

    private string UseOf(string address) => _host.ReadInventory().Devices.Single(d => d.Address == address).InUse;
}
