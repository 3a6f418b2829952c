using System.Globalization;
using System.Net;
using Exitless.Agent.Sriov;
using Exitless.Linux;
using Exitless.Linux.Procfs;
using Exitless.Linux.Sysfs;

namespace Exitless.Agent.Inventory;

/// <summary>
/// Says why a function must not be assigned to a VM, in words that name what hangs on it. The reasons are facts of this moment: disks in use, routes, and who holds
/// a VFIO group open.
/// </summary>
/// <param name="controlPlane">The addresses of the control plane; none where the agent does not know it yet.</param>
/// <param name="ownDevices">Functions that this agent has bound for its own VMs.</param>
/// <param name="isClaimed">Whether the kernel holds a disk, by its name; null: asks it.</param>
internal sealed class DeviceUseReader(HostRoot root, IRtnetlink netlink, Func<IReadOnlyList<IPAddress>> controlPlane, Func<IReadOnlySet<string>> ownDevices, Func<string, bool>? isClaimed = null)
{
    private readonly StorageUseReader _storage = new(root, isClaimed ?? (disk => BlockDevice.IsClaimed(root, disk)));

    // Drivers that only hand a device to a program of user space or to another manager's guests.
    private static readonly Dictionary<string, string> HandedOver = new(StringComparer.Ordinal)
    {
        ["uio_pci_generic"] = "DPDK or another program of user space",
        ["igb_uio"] = "DPDK",
        ["pciback"] = "Xen",
        ["xen-pciback"] = "Xen",
        ["pci-stub"] = "another manager of VMs",
    };

    /// <summary>Reasons by address; a function that is free is missing.</summary>
    public IReadOnlyDictionary<string, string> Read(IReadOnlyList<PciFunction> functions)
    {
        var uses = new Dictionary<string, string>(StringComparer.Ordinal);
        void Add(string address, string reason)
        {
            if (functions.Any(f => string.Equals(f.Address, address, StringComparison.Ordinal) && !f.IsBridge))
                uses.TryAdd(address, reason);
        }
        _storage.Read(Add);
        AddNetwork(functions, Add);
        AddOtherManagers(functions, Add);
        foreach (var function in functions)
        {
            if (function.IsBridge)
                uses.TryAdd(function.Address, "is a bridge of the host");
            else if (function.NumVfs > 0)
                uses.TryAdd(function.Address, $"has {function.NumVfs} VFs; set its number of VFs to 0 to assign the whole function");
        }
        return uses;
    }

    /// <summary>As one reason of <see cref="Read"/>, but found by claiming the function's disks for a moment: only for a function that is about to be taken.</summary>
    /// <returns>Null if nothing holds them.</returns>
    public string? Claim(string address) => _storage.Claim(address);

    private void AddNetwork(IReadOnlyList<PciFunction> functions, Action<string, string> add)
    {
        var known = false;
        void AddInterface(string name, string reason)
        {
            foreach (var address in NetInterface.CarriersOf(root, name))
            {
                known = true;
                add(address, reason);
                // A VF that the host itself uses hangs on its PF.
                if (functions.FirstOrDefault(f => string.Equals(f.Address, address, StringComparison.Ordinal))?.PfAddress is { } pf)
                    add(pf, $"is the PF of {address}, which {reason}");
            }
        }
        foreach (var address in controlPlane())
        {
            if (netlink.InterfaceTo(address) is { } index && NetInterface.NameOf(root, index) is { } name)
                AddInterface(name, $"carries the route to the control plane ({name} to {address})");
        }
        // Before the control plane is known, or where it runs on this very host, people come by the default route.
        foreach (var name in known ? [] : DefaultRoutes.Interfaces(root))
            AddInterface(name, $"carries the host's default route ({name})");
    }

    private void AddOtherManagers(IReadOnlyList<PciFunction> functions, Action<string, string> add)
    {
        var own = ownDevices();
        IReadOnlyDictionary<string, FileHolder>? holders = null;
        foreach (var function in functions)
        {
            if (own.Contains(function.Address))
                continue;
            if (function.Driver is { } driver && HandedOver.TryGetValue(driver, out var user))
            {
                add(function.Address, $"belongs to {user} (driver {driver})");
                continue;
            }
            if (string.Equals(function.Driver, "vfio-pci", StringComparison.Ordinal))
            {
                holders ??= ProcessFiles.HoldersBelow(root, "/dev/vfio/");
                if (HolderOf(function, holders) is { } holder)
                {
                    add(function.Address, $"belongs to {ManagerName(holder)} (process {holder.ProcessId}, {holder.Name})");
                    continue;
                }
            }
            if (function.DriverOverride is { } forced)
                add(function.Address, $"is set aside by another manager, such as libvirt or driverctl (driver_override is {forced})");
        }
    }

    private FileHolder? HolderOf(PciFunction function, IReadOnlyDictionary<string, FileHolder> holders)
    {
        if (function.IommuGroup is { } group && holders.TryGetValue("/dev/vfio/" + group.ToString(CultureInfo.InvariantCulture), out var holder))
            return holder;
        foreach (var node in SysfsFile.Names(PciFunction.Folder(root, function.Address) + "/vfio-dev"))   // with iommufd
        {
            if (holders.TryGetValue("/dev/vfio/devices/" + node, out holder))
                return holder;
        }
        return null;
    }

    // libvirt puts its guests in the slice machine.slice, wherever QEMU came from.
    private string ManagerName(FileHolder holder)
    {
        var cgroup = SysfsFile.Text(root.Proc($"{holder.ProcessId}/cgroup")) ?? "";
        return cgroup.Contains("/machine-qemu", StringComparison.Ordinal) || cgroup.Contains("libvirt", StringComparison.Ordinal) ? "libvirt"
            : holder.Name.StartsWith("qemu", StringComparison.Ordinal) ? "QEMU"
            : holder.Name;
    }
}
