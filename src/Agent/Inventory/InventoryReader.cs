using System.Globalization;
using Exitless.Contracts;
using Exitless.Linux;
using Exitless.Linux.Procfs;
using Exitless.Linux.Sysfs;

namespace Exitless.Agent.Inventory;

/// <summary>Reads the whole inventory of a host. Cheap enough to be repeated every few seconds: no device is touched, only attributes are read.</summary>
internal sealed class InventoryReader(HostRoot root, ImageFolder images, DeviceUseReader uses, VfMacReader vfMacs, PciNames names)
{
    public Contracts.Inventory Read()
    {
        var cpu = CpuFacts.Read(root);
        var inventory = new Contracts.Inventory
        {
            Kernel = SysfsFile.Text(root.Proc("sys/kernel/osrelease")) ?? "",
            CpuVendor = cpu.Vendor,
            CpuModel = cpu.Model,
            MemoryBytes = (ulong)MemoryFacts.Read(root).Total,
        };
        inventory.OnlineCpus.AddRange(CpuList.Parse(SysfsFile.Text(root.Sys("devices/system/cpu/online"))));
        ReadNodes(inventory);
        ReadDevices(inventory);
        inventory.Images.AddRange(images.List());
        inventory.Capabilities.AddRange(HostCapabilities.Read(root, cpu));
        return inventory;
    }

    private void ReadNodes(Contracts.Inventory inventory)
    {
        foreach (var name in SysfsFile.Names(root.Sys("devices/system/node")))
        {
            if (!name.StartsWith("node", StringComparison.Ordinal)
                || !uint.TryParse(name.AsSpan(4), NumberStyles.None, CultureInfo.InvariantCulture, out var id))
                continue;
            var folder = root.Sys("devices/system/node/" + name);
            var node = new NumaNode { Id = id, MemoryBytes = NodeMemory(folder) };
            node.Cpus.AddRange(CpuList.Parse(SysfsFile.Text(folder + "/cpulist")));
            inventory.Nodes.Add(node);
            ReadHugePages(inventory, id, folder + "/hugepages");
        }
        if (inventory.Nodes.Count == 0)   // a kernel without CONFIG_NUMA
            ReadHugePages(inventory, 0, root.Sys("kernel/mm/hugepages"));
    }

    private static void ReadHugePages(Contracts.Inventory inventory, uint node, string folder)
    {
        foreach (var size in SysfsFile.Names(folder))
        {
            // hugepages-2048kB
            if (!size.StartsWith("hugepages-", StringComparison.Ordinal) || !size.EndsWith("kB", StringComparison.Ordinal)
                || !ulong.TryParse(size.AsSpan(10, size.Length - 12), NumberStyles.None, CultureInfo.InvariantCulture, out var kilobytes))
                continue;
            inventory.HugePages.Add(new HugePagePool
            {
                Node = node,
                PageBytes = kilobytes * 1024,
                Total = (ulong)(SysfsFile.Number($"{folder}/{size}/nr_hugepages") ?? 0),
                Free = (ulong)(SysfsFile.Number($"{folder}/{size}/free_hugepages") ?? 0),
            });
        }
    }

    private static ulong NodeMemory(string folder)
    {
        // "Node 0 MemTotal:        2014208 kB"
        var line = SysfsFile.Text(folder + "/meminfo")?.Split('\n').FirstOrDefault(l => l.Contains("MemTotal:", StringComparison.Ordinal));
        var fields = line?.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return fields?.Length >= 4 && ulong.TryParse(fields[3], NumberStyles.None, CultureInfo.InvariantCulture, out var kilobytes) ? kilobytes * 1024 : 0;
    }

    private void ReadDevices(Contracts.Inventory inventory)
    {
        var functions = PciFunction.ReadAll(root);
        var use = uses.Read(functions);
        var macs = vfMacs.Read(functions);
        names.Load(functions);
        foreach (var function in functions)
        {
            var device = new PciDevice
            {
                Address = function.Address,
                VendorId = function.VendorId,
                DeviceId = function.DeviceId,
                ClassCode = function.ClassCode,
                Name = names.Of(function),
                Driver = function.Driver ?? "",
                PfAddress = function.PfAddress ?? "",
                SriovTotalVfs = (uint)function.TotalVfs,
                SriovNumVfs = (uint)function.NumVfs,
                InUse = use.GetValueOrDefault(function.Address, ""),
            };
            if (function.IommuGroup is { } group)
                device.IommuGroup = (uint)group;
            if (function.NumaNode is { } node)
                device.NumaNode = (uint)node;
            if (function.VfIndex is { } index)
                device.VfIndex = (uint)index;
            foreach (var name in function.NetInterfaces)
            {
                device.NetInterfaces.Add(name);
                if (NetInterface.Read(root, name) is not { } network)
                    continue;
                device.LinkUp |= network.LinkUp;
                if (device.Mac.Length == 0)
                    device.Mac = network.Mac;
            }
            if (macs.TryGetValue(function.Address, out var mac))
                device.Mac = MacText.IsNone(mac) ? "" : MacText.Of(mac);
            inventory.Devices.Add(device);
        }
    }
}
