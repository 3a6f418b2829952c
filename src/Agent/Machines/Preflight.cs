using System.Buffers.Binary;
using System.Globalization;
using System.Net.NetworkInformation;
using Exitless.Agent.Interrupts;
using Exitless.Agent.Inventory;
using Exitless.Agent.Sriov;
using Exitless.Contracts;
using Exitless.Linux;
using Exitless.Linux.Procfs;
using Exitless.Linux.Sysfs;

namespace Exitless.Agent.Machines;

/// <summary>Everything that can be known to be wrong before anything is touched. Reads only.</summary>
internal sealed class Preflight(HostRoot root, ImageFolder images, DeviceClaims claims, DeviceUseReader uses, VfMacReader macs)
{
    /// <summary>What a VM's process takes beside the guest's memory, with room: page tables, the runtime, KVM's own.</summary>
    private const long Overhead = 64L << 20;

    // A member of the group with one of these drives no DMA of its own (drivers/vfio/group.c, iommu_group ownership).
    private static readonly HashSet<string> HarmlessDrivers = new(StringComparer.Ordinal) { VfioBinding.Driver, "pci-stub", "pcieport" };

    /// <exception cref="ProblemException">The first thing that stands in the way.</exception>
    public LaunchPlan Check(WantedVm vm)
    {
        CheckHost(vm.Devices.Count > 0);
        var kernel = FindImage(vm.Kernel, ImageFolder.KernelSuffix, "kernel");
        CheckKernel(kernel, vm.Kernel);
        var initrd = vm.Initrd.Length == 0 ? null : FindImage(vm.Initrd, ImageFolder.InitrdSuffix, "initrd");
        var plan = CheckDevicesAndMemory(vm, kernel, initrd);
        return plan with { Interrupts = InterruptPlanner.Plan(root, vm, [.. plan.Devices.Select(d => d.Function.NumaNode).OfType<int>()]) };
    }

    /// <summary>As <see cref="Check(WantedVm)"/>, with files named by their paths: what the person at the host's own terminal may do. The VMM looks at the kernel.</summary>
    /// <exception cref="ProblemException">The first thing that stands in the way.</exception>
    public LaunchPlan Check(WantedVm vm, string kernel, string? initrd)
    {
        // Where /dev/kvm is there, what the CPU shows does not matter: some KVMs need neither vmx nor svm.
        CheckHost(vm.Devices.Count > 0, lookAtCpu: false);
        return CheckDevicesAndMemory(vm, kernel, initrd);
    }

    private LaunchPlan CheckDevicesAndMemory(WantedVm vm, string kernel, string? initrd)
    {
        var devices = CheckDevices(vm);
        CheckMemory(vm, devices.Count > 0);
        return new LaunchPlan(vm, kernel, initrd, devices);
    }

    private void CheckHost(bool withDevices, bool lookAtCpu = true)
    {
        var capabilities = HostCapabilities.Read(root);
        void Need(string name, string code, string title)
        {
            var capability = capabilities.First(c => string.Equals(c.Name, name, StringComparison.Ordinal));
            if (!capability.Present)
                throw new ProblemException(code, title, capability.Detail, capability.Remedy);
        }
        if (lookAtCpu)
            Need(HostCapabilities.Virtualization, "no-virtualization", "The host's CPU offers no virtualization");
        Need(HostCapabilities.Kvm, "no-kvm", "The host has no KVM");
        if (!withDevices)
            return;
        Need(HostCapabilities.Iommu, "no-iommu", "The host has no working IOMMU");
        Need(HostCapabilities.InterruptRemapping, "interrupt-remapping-off", "Interrupt remapping is off");
        Need(HostCapabilities.Vfio, "no-vfio", "The host has no VFIO");
    }

    private string FindImage(string name, string suffix, string field) =>
        images.Find(name, suffix) ?? throw new ProblemException(
            "image-not-found", "No such image", name.Length == 0 ? $"No {field} is named." : $"The host has no {field} '{name}' in {images.Path}.",
            $"Put the file there (its name ends in {suffix}), or choose one of: {string.Join(", ", images.List().Where(i => i.Kind == field).Select(i => i.Name).DefaultIfEmpty("(none)"))}.", field);

    // Documentation/arch/x86/boot.rst: the boot sector's signature at 0x1fe, the magic "HdrS" at 0x202. The VMM looks at the rest, and at ELF files.
    private static void CheckKernel(string path, string name)
    {
        const int MagicOffset = 0x202;
        var header = new byte[MagicOffset + 4];
        using var file = File.OpenHandle(path);
        var count = RandomAccess.Read(file, header, 0);
        if (header.AsSpan(0, count).StartsWith("\u007fELF"u8))
            return;
        if (count < header.Length || !header.AsSpan(MagicOffset).SequenceEqual("HdrS"u8)
            || BinaryPrimitives.ReadUInt16LittleEndian(header.AsSpan(0x1fe)) != 0xaa55)
            throw new ProblemException(
                "kernel-not-bzimage", "The kernel is not a bzImage", $"'{name}' does not begin with a Linux boot sector.",
                "Use the compressed kernel that distributions install as /boot/vmlinuz-…, or an uncompressed vmlinux (ELF) built with CONFIG_PVH.", "kernel");
    }

    private List<PlannedDevice> CheckDevices(WantedVm vm)
    {
        var planned = new List<PlannedDevice>();
        if (vm.Devices.Count == 0)
            return planned;
        var functions = PciFunction.ReadAll(root);
        var inUse = uses.Read(functions);
        var currentMacs = macs.Read(functions);
        for (var i = 0; i < vm.Devices.Count; i++)
        {
            var device = CheckDevice(vm, functions, inUse, currentMacs, i);
            if (planned.Any(p => string.Equals(p.Function.Address, device.Function.Address, StringComparison.Ordinal)))
                throw new ProblemException("device-twice", "A device is named twice", $"{device.Function.Address} is named twice.", "Name it once.", device.Field + ".address");
            planned.Add(device);
        }
        foreach (var device in planned)
            CheckGroup(vm, device, functions, inUse);
        return planned;
    }

    private PlannedDevice CheckDevice(
        WantedVm vm, IReadOnlyList<PciFunction> functions, IReadOnlyDictionary<string, string> inUse, IReadOnlyDictionary<string, PhysicalAddress> currentMacs, int index)
    {
        var (address, field) = (vm.Devices[index].Address, string.Create(CultureInfo.InvariantCulture, $"devices[{index}]"));
        var function = functions.FirstOrDefault(f => string.Equals(f.Address, address, StringComparison.Ordinal)) ?? throw new ProblemException(
            "device-not-found", "No such device", $"This host has no PCI function '{address}'.",
            "Choose a device that the host's page lists; a VF exists only while its PF has that many VFs.", field + ".address");
        if (claims.OwnerOf(address) is { } owner && !claims.IsOwner(address, vm.VmId))
            throw new ProblemException(
                "device-owned-by-vm", "The device belongs to another VM", $"{address} belongs to the VM {owner}.", $"Stop {owner}, or choose another device.", field + ".address");
        if ((inUse.GetValueOrDefault(address) ?? uses.Claim(address)) is { } reason)
            throw new ProblemException("device-in-use", "The device is in use", $"{address} {reason}.", "Choose another device, or free this one on the host first.", field + ".address");
        if (function.IommuGroup is not { } group)
            throw new ProblemException(
                "device-without-iommu-group", "No IOMMU translates for the device", $"{address} is in no IOMMU group.",
                "Choose a device with an IOMMU group; for a VF, bring its PF's link up before the VFs are made.", field + ".address");
        currentMacs.TryGetValue(address, out var currentMac);
        return new PlannedDevice(function, group, CheckMac(vm.Devices[index].Mac, function, functions, currentMacs, field + ".mac"), currentMac, field);
    }

    private static PhysicalAddress? CheckMac(
        string text, PciFunction function, IReadOnlyList<PciFunction> functions, IReadOnlyDictionary<string, PhysicalAddress> currentMacs, string field)
    {
        if (text.Length == 0)
            return null;
        if (function.PfAddress is not { } pf)
            throw new ProblemException("mac-needs-vf", "Only a VF's MAC can be set", $"{function.Address} is not a VF.", "Leave the MAC empty.", field);
        var mac = MacText.Parse(text) ?? throw new ProblemException(
            "mac-invalid", "Not a MAC", $"'{text}' is not a unicast MAC of the form 52:54:00:12:34:56.", "Give one, or leave it empty to keep the VF's own.", field);
        if (functions.FirstOrDefault(f => string.Equals(f.Address, pf, StringComparison.Ordinal)) is not { NetInterfaces.Count: > 0 })
            throw new ProblemException(
                "pf-without-interface", "The PF has no network interface", $"{pf}, the PF of {function.Address}, has no network interface, so the VF's MAC cannot be set.",
                "Bind the PF to its network driver, or leave the MAC empty.", field);
        foreach (var (other, taken) in currentMacs)
        {
            if (!string.Equals(other, function.Address, StringComparison.Ordinal) && taken.Equals(mac))
                throw new ProblemException(
                    "mac-in-use", "Another VF has this MAC", $"{other} has the MAC {text} already; with two, the NIC would give neither its packets reliably.", "Choose another MAC.", field);
        }
        return mac;
    }

    // The kernel opens a group only when every member is either the VM's, or driven by nobody who could do DMA.
    private void CheckGroup(WantedVm vm, PlannedDevice device, IReadOnlyList<PciFunction> functions, IReadOnlyDictionary<string, string> inUse)
    {
        foreach (var address in PciFunction.GroupMembers(root, device.Group))
        {
            var member = functions.FirstOrDefault(f => string.Equals(f.Address, address, StringComparison.Ordinal));
            if (member is null || member.IsBridge || vm.Devices.Any(d => string.Equals(d.Address, address, StringComparison.Ordinal)))
                continue;
            if (claims.OwnerOf(address) is { } owner)
                throw NotViable(device, $"{address} in it belongs to the VM {owner}", $"Give all functions of the group to one VM, or stop {owner}.");
            if (member.Driver is not { } driver)
                continue;
            if (!HarmlessDrivers.Contains(driver))
                throw NotViable(device, $"{address} in it is driven by {driver}", $"Assign {address} to the same VM, or unbind it from {driver} on the host.");
            if (inUse.TryGetValue(address, out var reason))
                throw NotViable(device, $"{address} in it {reason}", "Free that device first.");
        }
    }

    private static ProblemException NotViable(PlannedDevice device, string why, string remedy) => new(
        "group-not-viable", "The device's IOMMU group is shared", $"{device.Function.Address} is in IOMMU group {device.Group}, and {why}.",
        remedy + " Devices of one group can reach each other without the IOMMU, so they go together.", device.Field + ".address");

    private void CheckMemory(WantedVm vm, bool withDevices)
    {
        var needed = ((long)vm.MemoryMib << 20) + Overhead;
        var available = MemoryFacts.Read(root).Available;
        if (available < needed)
            throw new ProblemException(
                "memory-too-little-free", "Too little memory is free", $"{vm.MemoryMib} MiB for the guest and {Overhead >> 20} MiB for its process are needed; {available >> 20} MiB are free.",
                "Give the VM less memory, or stop another VM.", "memoryMib");
        var limit = LockedMemoryLimit.Read(root);
        if (withDevices && !limit.Allows(needed))
            throw new ProblemException(
                "memlock-too-low", "Too little memory may be locked", $"A VM with a device locks all its memory: {needed >> 20} MiB are needed, {(limit.Limit ?? 0) >> 20} MiB are allowed.",
                "Run the agent as root with CAP_IPC_LOCK, or set LimitMEMLOCK=infinity in its systemd unit.", "memoryMib");
    }
}
