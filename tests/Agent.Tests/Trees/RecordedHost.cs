using System.Net;
using System.Net.NetworkInformation;
using Exitless.Agent.Inventory;
using Exitless.Agent.Machines;
using Exitless.Agent.Sriov;
using Exitless.Linux;

namespace Exitless.Agent.Tests.Trees;

/// <summary>
/// A sysfs, procfs and /dev tree in a temporary folder, with the names, links and contents of the emulated host's, and a disk and a second card beside it:
/// PF 0000:01:00.0 (igb, eth1) with VFs 0000:01:10.0 and .2 in groups 8 and 9; management NIC 0000:00:02.0 (eth0); AHCI 0000:00:1f.2 with sda1 as root and
/// sda2 as swap; a two-function card 0000:03:00.0/.1 in group 11.
/// </summary>
internal sealed class RecordedHost : IDisposable
{
    public const string Pf = "0000:01:00.0", Vf0 = "0000:01:10.0", Vf1 = "0000:01:10.2", Management = "0000:00:02.0", Disk = "0000:00:1f.2";
    public const string Gpu = "0000:03:00.0", GpuAudio = "0000:03:00.1", Bridge = "0000:00:03.0";
    private readonly TemporaryFolder _folder = new();

    public RecordedHost()
    {
        Root = new HostRoot(_folder.Path);
        Claims = new DeviceClaims();
        Images = new ImageFolder(_folder.File("images"));
        AddPci(Bridge, "pci0000:00", 0x8086, 0x3420, 0x060400, "pcieport", 6);
        AddPci(Management, "pci0000:00", 0x1af4, 0x1000, 0x020000, "virtio-pci", 2);
        AddPci(Disk, "pci0000:00", 0x8086, 0x2922, 0x010601, "ahci", 5);
        AddPci(Pf, "pci0000:00/" + Bridge, 0x8086, 0x10c9, 0x020000, "igb", 7);
        AddPci(Vf0, "pci0000:00/" + Bridge, 0x8086, 0x10ca, 0x020000, null, 8);
        AddPci(Vf1, "pci0000:00/" + Bridge, 0x8086, 0x10ca, 0x020000, null, 9);
        AddPci(Gpu, "pci0000:00", 0x10de, 0x1db4, 0x030200, "nouveau", 11);
        AddPci(GpuAudio, "pci0000:00", 0x10de, 0x10f2, 0x040300, "snd_hda_intel", 11);
        Write($"{Device(Pf)}/sriov_totalvfs", "7");
        Write($"{Device(Pf)}/sriov_numvfs", "2");
        Write($"{Device(Pf)}/sriov_drivers_autoprobe", "1");
        Link($"{Device(Pf)}/virtfn0", $"../{Vf0}");
        Link($"{Device(Pf)}/virtfn1", $"../{Vf1}");
        Link($"{Device(Vf0)}/physfn", $"../{Pf}");
        Link($"{Device(Vf1)}/physfn", $"../{Pf}");
        AddNet("eth0", Management, 2, "virtio0");
        AddNet("eth1", Pf, 3, null);
        AddDisk("sda", $"{Device(Disk)}/ata1/host0/target0:0:0/0:0:0:0/block/sda", "8:0", ("sda1", "8:1"), ("sda2", "8:2"));
        Write("sys/bus/pci/drivers_probe", "");
        Directory.CreateDirectory(At("sys/bus/pci/drivers/vfio-pci"));
        Link("sys/class/iommu/dmar0", "../../devices/virtual/iommu/dmar0");
        Write("sys/devices/system/cpu/online", "0-1");
        Write("sys/devices/system/node/node0/cpulist", "0-1");
        Write("sys/devices/system/node/node0/meminfo", "Node 0 MemTotal:        2014208 kB\nNode 0 MemFree:         1014208 kB");
        Write("sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages", "64");
        Write("sys/devices/system/node/node0/hugepages/hugepages-2048kB/free_hugepages", "60");
        Write("proc/cpuinfo", "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: QEMU TCG CPU version 2.5+\nflags\t\t: fpu vme svm npt\n");
        Write("proc/meminfo", "MemTotal:        2014208 kB\nMemFree:         1014208 kB\nMemAvailable:    1514208 kB\n");
        Write("proc/interrupts", "            CPU0       CPU1\n   9:          0          0  IR-IO-APIC   9-fasteoi   acpi\n  24:          0          0  DMAR-MSI   0-edge      dmar0\n");
        Write("proc/self/status", "Name:\texitless-agent\nCapEff:\t000001ffffffffff\n");
        Write("proc/self/limits", "Limit                     Soft Limit           Hard Limit           Units     \nMax locked memory         8388608              8388608              bytes     \n");
        Write("proc/self/mountinfo", "21 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n22 21 0:20 / /proc rw - proc proc rw\n");
        Write("proc/swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/dev/sda2                               partition\t1048572\t\t0\t\t-2\n");
        Write("proc/net/route", "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\neth0\t00000000\t0202000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n");
        Write("proc/sys/kernel/osrelease", "6.12.95+deb12-amd64");
        Write("dev/kvm", "");
        Write("dev/vfio/vfio", "");
        Write("dev/sda1", "");
        Write("dev/sda2", "");
        // A boot sector with the magic: as much of a kernel as the preflight looks at.
        var kernel = new byte[4096];
        (kernel[0x1fe], kernel[0x1ff]) = (0x55, 0xaa);
        "HdrS"u8.CopyTo(kernel.AsSpan(0x202));
        Directory.CreateDirectory(Images.Path);
        File.WriteAllBytes(Path.Combine(Images.Path, "good.vmlinuz"), kernel);
        File.WriteAllText(Path.Combine(Images.Path, "good.initrd"), "070701");
        Uses = new DeviceUseReader(Root, Netlink, () => ControlPlane, () => Claims.Addresses, ClaimedDisks.Contains);
        Macs = new VfMacReader(Root, Netlink);
        Preflight = new Preflight(Root, Images, Claims, Uses, Macs);
    }

    public HostRoot Root { get; }

    public DeviceClaims Claims { get; }

    public ImageFolder Images { get; }

    public RecordedRtnetlink Netlink { get; } = new();

    public IReadOnlyList<IPAddress> ControlPlane { get; set; } = [IPAddress.Parse("10.0.2.2")];

    /// <summary>Disks that the kernel would refuse to others.</summary>
    public HashSet<string> ClaimedDisks { get; } = new(StringComparer.Ordinal);

    public DeviceUseReader Uses { get; }

    public VfMacReader Macs { get; }

    public Preflight Preflight { get; }

    public Contracts.Inventory ReadInventory() => new InventoryReader(Root, Images, Uses, Macs, new PciNames(Root)).Read();

    public static string Device(string address) => address switch
    {
        Pf or Vf0 or Vf1 => $"sys/devices/pci0000:00/{Bridge}/{address}",
        _ => $"sys/devices/pci0000:00/{address}",
    };

    public string At(string path) => Path.Combine(_folder.Path, path);

    public string Text(string path) => File.ReadAllText(At(path));

    public void Write(string path, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(At(path))!);
        File.WriteAllText(At(path), text + "\n");
    }

    public void Delete(string path)
    {
        if (Directory.Exists(At(path)) && new DirectoryInfo(At(path)).LinkTarget is null)
            Directory.Delete(At(path), recursive: true);
        else
            File.Delete(At(path));
    }

    public void Link(string path, string target)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(At(path))!);
        File.Delete(At(path));
        File.CreateSymbolicLink(At(path), target);
    }

    public void SetDriver(string address, string? driver)
    {
        File.Delete(At($"{Device(address)}/driver"));
        if (driver is null)
            return;
        Directory.CreateDirectory(At("sys/bus/pci/drivers/" + driver));
        Link($"{Device(address)}/driver", At("sys/bus/pci/drivers/" + driver));
    }

    public void AddDisk(string name, string folder, string number, params (string Name, string Number)[] partitions)
    {
        Write(folder + "/dev", number);
        Link("sys/class/block/" + name, At(folder));
        Link("sys/dev/block/" + number, At(folder));
        foreach (var partition in partitions)
        {
            Write($"{folder}/{partition.Name}/dev", partition.Number);
            Link("sys/class/block/" + partition.Name, At($"{folder}/{partition.Name}"));
            Link("sys/dev/block/" + partition.Number, At($"{folder}/{partition.Name}"));
        }
    }

    /// <summary>A process that holds a file open.</summary>
    public void AddProcess(int pid, string name, string holds, string cgroup = "0::/user.slice")
    {
        Write($"proc/{pid}/comm", name);
        Write($"proc/{pid}/cgroup", cgroup);
        Link($"proc/{pid}/fd/7", holds);
    }

    public void AddNet(string name, string address, int index, string? below)
    {
        var folder = below is null ? $"{Device(address)}/net/{name}" : $"{Device(address)}/{below}/net/{name}";
        Write(folder + "/ifindex", $"{index}");
        Write(folder + "/address", $"52:54:00:00:00:0{index}");
        Write(folder + "/carrier", "1");
        Link(folder + "/device", "../..");
        Link("sys/class/net/" + name, At(folder));
    }

    /// <summary>A bond or a bridge over other interfaces.</summary>
    public void AddVirtualNet(string name, int index, params string[] lower)
    {
        var folder = "sys/devices/virtual/net/" + name;
        Write(folder + "/ifindex", $"{index}");
        foreach (var below in lower)
            Link($"{folder}/lower_{below}", $"../{below}");
        Link("sys/class/net/" + name, At(folder));
    }

    public void Dispose() => _folder.Dispose();

    private void AddPci(string address, string below, int vendor, int device, int classCode, string? driver, int group)
    {
        var folder = $"sys/devices/{below}/{address}";
        Write(folder + "/vendor", $"0x{vendor:x4}");
        Write(folder + "/device", $"0x{device:x4}");
        Write(folder + "/class", $"0x{classCode:x6}");
        Write(folder + "/driver_override", "(null)");
        Write(folder + "/numa_node", "-1");
        Link("sys/bus/pci/devices/" + address, At(folder));
        Directory.CreateDirectory(At($"sys/kernel/iommu_groups/{group}/devices"));
        Link($"sys/kernel/iommu_groups/{group}/devices/{address}", At(folder));
        Link(folder + "/iommu_group", At($"sys/kernel/iommu_groups/{group}"));
        SetDriver(address, driver);
    }
}

/// <summary>Answers as the recorded host's routing socket would.</summary>
internal sealed class RecordedRtnetlink : IRtnetlink
{
    public Dictionary<int, PhysicalAddress> Macs { get; } = new()
    {
        [0] = PhysicalAddress.Parse("52-54-00-00-01-00"),
        [1] = PhysicalAddress.Parse("52-54-00-00-01-01"),
    };

    public Dictionary<IPAddress, int> Routes { get; } = new() { [IPAddress.Parse("10.0.2.2")] = 2 };

    public List<string> Changes { get; } = [];

    public IReadOnlyDictionary<int, PhysicalAddress> VfMacs(int pfInterface) => pfInterface == 3 ? Macs : [];

    public void SetVfMac(int pfInterface, int vf, PhysicalAddress mac)
    {
        Changes.Add($"mac {pfInterface} {vf} {mac}");
        Macs[vf] = mac;
    }

    public void SetUp(int index) => Changes.Add($"up {index}");

    public int? InterfaceTo(IPAddress destination) => Routes.TryGetValue(destination, out var index) ? index : null;
}
