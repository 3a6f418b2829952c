using Exitless.Contracts;

namespace Exitless.Simulator;

/// <summary>How the interrupts of a simulated host's devices reach its guests, as far as its hardware goes.</summary>
internal enum SimulatedPath
{
    /// <summary>Each makes the vCPU exit.</summary>
    Injected,
    /// <summary>The IOMMU posts them.</summary>
    Posted,
}

/// <summary>The machine of a simulated host: drawn from its seed, in its shape, as the agent's inventory tells it.</summary>
internal sealed class SimulatedHardware
{
    /// <summary>VFs begin here, counted from their PF's routing id (offset and stride of the SR-IOV capability).</summary>
    private const int FirstVfOffset = 0x80;

    private static readonly (string Vendor, string Model)[] Processors =
        [("AuthenticAMD", "Simulated EPYC-like processor"), ("GenuineIntel", "Simulated Xeon-like processor")];

    private readonly SimulatedShape _shape;
    private readonly int[] _numVfs;

    public SimulatedHardware(ulong seed, SimulatedShape shape)
    {
        shape.Check();
        _shape = shape;
        _numVfs = [.. Enumerable.Repeat(shape.Vfs, shape.Pfs)];
        var draw = new Draw(seed);
        (Vendor, Model) = Processors[(int)(draw.Bits() % 2)];
        // Two hosts of three post, in every fleet, however small.
        Path = seed % 3 == 0 ? SimulatedPath.Injected : SimulatedPath.Posted;
        MacBase = (ulong)(draw.Bits() & 0xFF_FFFF_FF00);
    }

    public string Vendor { get; }

    public string Model { get; }

    public SimulatedPath Path { get; }

    public int NumaNodes => _shape.NumaNodes;

    /// <summary>MSI-X vectors of each VF.</summary>
    public int Vectors => _shape.Vectors;

    private ulong MacBase { get; }

    public static string PfAddress(int pf) => $"0000:{0x10 * (pf + 1):x2}:00.0";

    public static string VfAddress(int pf, int vf)
    {
        var at = FirstVfOffset + vf;
        return $"0000:{0x10 * (pf + 1) + (at >> 8):x2}:{(at >> 3) & 0x1f:x2}.{at & 7}";
    }

    /// <summary>Addresses of the VFs that are there now.</summary>
    public IReadOnlyList<string> Vfs => [.. _numVfs.SelectMany((count, pf) => Enumerable.Range(0, count).Select(vf => VfAddress(pf, vf)))];

    /// <summary>The NUMA node of a function; unknown addresses are on node 0.</summary>
    public int NodeOf(string address) => (Convert.ToInt32(address[5..7], 16) / 0x10 - 1) is >= 0 and var pf ? pf % _shape.NumaNodes : 0;

    /// <summary>CPUs of a node.</summary>
    public IEnumerable<uint> CpusOf(int node)
    {
        var each = _shape.Cpus / _shape.NumaNodes;
        return Enumerable.Range(node * each, each).Select(cpu => (uint)cpu);
    }

    /// <summary>Gives a PF this many VFs.</summary>
    /// <returns>Null, or why not.</returns>
    public Problem? SetVfs(string address, int count)
    {
        var pf = Enumerable.Range(0, _shape.Pfs).FirstOrDefault(i => PfAddress(i) == address, -1);
        if (pf < 0)
            return new Problem { Code = "device-not-found", Title = $"There is no PF {address}.", Remedy = "Take the address of a PF from the host's devices." };
        if (count > _shape.TotalVfs)
            return new Problem { Code = "vf-count-out-of-range", Title = $"{address} can have at most {_shape.TotalVfs} VFs.", Detail = $"{count} were asked for.", Remedy = $"Ask for 0 to {_shape.TotalVfs}." };
        _numVfs[pf] = count;
        return null;
    }

    /// <summary>What the agent would report now.</summary>
    public Inventory Inventory()
    {
        var inventory = new Inventory { Kernel = "6.12.0-simulated", CpuVendor = Vendor, CpuModel = Model, MemoryBytes = (ulong)_shape.MemoryGib << 30 };
        for (var node = 0; node < _shape.NumaNodes; node++)
        {
            var numa = new NumaNode { Id = (uint)node, MemoryBytes = ((ulong)_shape.MemoryGib << 30) / (ulong)_shape.NumaNodes };
            numa.Cpus.AddRange(CpusOf(node));
            inventory.OnlineCpus.AddRange(numa.Cpus);
            inventory.Nodes.Add(numa);
            inventory.HugePages.Add(new HugePagePool { Node = (uint)node, PageBytes = 2 << 20, Total = numa.MemoryBytes / (4 << 20), Free = numa.MemoryBytes / (4 << 20) });
        }
        inventory.Images.Add(new Image { Name = "debian-12.vmlinuz", Kind = "kernel", Bytes = 8_200_000 });
        inventory.Images.Add(new Image { Name = "debian-12.initrd", Kind = "initrd", Bytes = 31_000_000 });
        foreach (var name in new[] { "kvm", "virtualization", "iommu", "interrupt-remapping", "memlock" })
            inventory.Capabilities.Add(new Capability { Name = name, Present = true, Detail = $"{name} is there (simulated)" });
        inventory.Devices.Add(new PciDevice
        {
            Address = "0000:00:03.0",
            VendorId = 0x1af4,
            DeviceId = 0x1041,
            ClassCode = 0x020000,
            Name = "Simulated management NIC",
            Driver = "virtio-pci",
            IommuGroup = 1,
            NumaNode = 0,
            NetInterfaces = { "eth0" },
            Mac = Mac(0),
            LinkUp = true,
            InUse = "carries the default route by eth0",
        });
        inventory.Devices.Add(new PciDevice { Address = "0000:00:04.0", VendorId = 0x144d, DeviceId = 0xa80a, ClassCode = 0x010802, Name = "Simulated NVMe controller", Driver = "nvme", IommuGroup = 2, NumaNode = 0, InUse = "carries the root disk /dev/nvme0n1" });
        for (var pf = 0; pf < _shape.Pfs; pf++)
            AddPf(inventory, pf);
        return inventory;
    }

    private void AddPf(Inventory inventory, int pf)
    {
        var node = (uint)(pf % _shape.NumaNodes);
        inventory.Devices.Add(new PciDevice
        {
            Address = PfAddress(pf),
            VendorId = 0x8086,
            DeviceId = 0x1592,
            ClassCode = 0x020000,
            Name = "Simulated 100-gigabit Ethernet controller",
            Driver = "ice",
            IommuGroup = Group(pf, 0),
            NumaNode = node,
            SriovTotalVfs = (uint)_shape.TotalVfs,
            SriovNumVfs = (uint)_numVfs[pf],
            NetInterfaces = { $"ens{pf + 1}f0" },
            Mac = Mac(1 + pf),
            LinkUp = true,
        });
        for (var vf = 0; vf < _numVfs[pf]; vf++)
        {
            inventory.Devices.Add(new PciDevice
            {
                Address = VfAddress(pf, vf),
                VendorId = 0x8086,
                DeviceId = 0x1889,
                ClassCode = 0x020000,
                Name = "Simulated Adaptive Virtual Function",
                PfAddress = PfAddress(pf),
                VfIndex = (uint)vf,
                IommuGroup = Group(pf, vf + 1),
                NumaNode = node,
            });
        }
    }

    private static uint Group(int pf, int function) => (uint)(10 + pf * 256 + function);

    // Locally administered, unicast.
    private string Mac(int nic)
    {
        var value = 0x02_00_0000_0000UL | ((MacBase + (ulong)nic) & 0xFF_FFFF_FFFF);
        return string.Join(':', Enumerable.Range(0, 6).Select(i => $"{(value >> (40 - 8 * i)) & 0xff:x2}"));
    }
}
