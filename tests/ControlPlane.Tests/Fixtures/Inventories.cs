using Exitless.Contracts;

namespace Exitless.ControlPlane.Tests.Fixtures;

/// <summary>What a small SR-IOV host reports.</summary>
internal static class Inventories
{
    public const string Pf = "0000:01:00.0";
    public const string Vf0 = "0000:01:10.0";
    public const string Vf1 = "0000:01:10.2";
    public const string Plain0 = "0000:00:1f.2";

    /// <summary>Four CPUs, 4 GiB, a PF with two of seven VFs, a disk controller that is in use, a kernel and an initrd.</summary>
    public static Inventory Plain()
    {
        var inventory = new Inventory
        {
            Kernel = "6.12.0-test",
            CpuVendor = "AuthenticAMD",
            CpuModel = "Test CPU",
            OnlineCpus = { 0, 1, 2, 3 },
            MemoryBytes = 4UL << 30,
            Nodes = { new NumaNode { Id = 0, Cpus = { 0, 1, 2, 3 }, MemoryBytes = 4UL << 30 } },
            HugePages = { new HugePagePool { Node = 0, PageBytes = 2 << 20, Total = 8, Free = 4 } },
            Images = { new Image { Name = "debian.vmlinuz", Kind = "kernel", Bytes = 1000 }, new Image { Name = "demo.initrd", Kind = "initrd", Bytes = 2000 } },
        };
        foreach (var name in new[] { "kvm", "virtualization", "iommu", "interrupt-remapping", "memlock" })
            inventory.Capabilities.Add(new Capability { Name = name, Present = true, Detail = $"{name} is there" });
        inventory.Devices.Add(new PciDevice { Address = Plain0, VendorId = 0x8086, DeviceId = 0x2922, ClassCode = 0x010601, Name = "Disk controller", Driver = "ahci", IommuGroup = 1, InUse = "carries the root disk /dev/sda1" });
        inventory.Devices.Add(new PciDevice
        {
            Address = Pf,
            VendorId = 0x8086,
            DeviceId = 0x10c9,
            ClassCode = 0x020000,
            Name = "82576 Gigabit",
            Driver = "igb",
            IommuGroup = 2,
            SriovTotalVfs = 7,
            SriovNumVfs = 2,
            NetInterfaces = { "eth1" },
            Mac = "52:54:00:00:00:01",
            LinkUp = true,
        });
        inventory.Devices.Add(Vf(Vf0, 0, 3));
        inventory.Devices.Add(Vf(Vf1, 1, 4));
        return inventory;
    }

    private static PciDevice Vf(string address, uint index, uint group) => new()
    {
        Address = address,
        VendorId = 0x8086,
        DeviceId = 0x10ca,
        ClassCode = 0x020000,
        Name = "82576 Virtual Function",
        PfAddress = Pf,
        VfIndex = index,
        IommuGroup = group,
    };
}
