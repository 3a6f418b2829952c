using System.Text.RegularExpressions;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Hosts;

namespace Exitless.ControlPlane.Vms;

/// <summary>What the rules need to know about a host, read under its lock.</summary>
internal sealed record HostView(HostRow Host, IReadOnlyList<DeviceRow> Devices, Dictionary<string, VmReferenceDto> Owners, IReadOnlyList<VmRow> Vms, IReadOnlySet<string> ChangingPfs);

/// <summary>What must hold of a VM before anything of it exists. All mistakes are named at once.</summary>
internal static partial class VmRules
{
    /// <summary>Enough for a kernel, its initrd unpacked, and a shell.</summary>
    public const int LeastMemoryMib = 64;

    /// <summary>COMMAND_LINE_SIZE of x86 is 2048 with its terminator (arch/x86/include/asm/setup.h).</summary>
    public const int LongestCommandLine = 2047;

    public const int MostDevices = 16;
    public const int LongestStopSeconds = 3600;

    /// <summary>Other functions of a group that may stay with these drivers do not stand in the way of VFIO (Documentation/driver-api/vfio.rst).</summary>
    private static readonly HashSet<string> HarmlessDrivers = new(StringComparer.Ordinal) { "vfio-pci", "pci-stub", "pcieport" };

    private const string PciBridgeClass = "0604";

    /// <summary>Rules that need nothing but the request.</summary>
    public static void CheckAlone(CreateVmRequest r, Mistakes m)
    {
        if (!Name().IsMatch(r.Name))
            m.Add("name", $"'{r.Name}' is no VM name: 1 to 63 letters, digits, dots and hyphens, beginning and ending with a letter or digit.");
        if (r.Vcpus < 1)
            m.Add("vcpus", $"{r.Vcpus} vCPUs are too few; at least 1 is needed.");
        if (r.MemoryMib < LeastMemoryMib)
            m.Add("memoryMib", $"{r.MemoryMib} MiB is too little; at least {LeastMemoryMib} MiB is needed.");
        if (r.Kernel.Length == 0)
            m.Add("kernel", "A kernel image is needed.", "Take one of the host's images of kind 'kernel'.");
        if ((r.CommandLine ?? "").Length > LongestCommandLine)
            m.Add("commandLine", $"The command line has {r.CommandLine!.Length} characters; the kernel takes at most {LongestCommandLine}.");
        if ((r.CommandLine ?? "").Any(c => c is < ' ' or > '~'))
            m.Add("commandLine", "The command line holds characters other than printable ASCII.");
        if (r.StopSeconds is < 1 or > LongestStopSeconds)
            m.Add("stopSeconds", $"{r.StopSeconds} s is not between 1 and {LongestStopSeconds}.");
        var devices = r.Devices ?? [];
        if (devices.Count > MostDevices)
            m.Add("devices", $"{devices.Count} devices are more than {MostDevices}.");
        for (var i = 0; i < devices.Count; i++)
        {
            if (devices[i] is not { } device)
            {
                m.Add($"devices[{i}]", "null is no device.", "Write {\"address\": \"0000:01:10.0\"}.");
                continue;
            }
            var (address, mac) = device;
            if (!PciAddress.IsValid(address))
                m.Add($"devices[{i}].address", $"'{address}' is no PCI address.", "Write it like 0000:01:10.0, in lower case.");
            else if (devices.Take(i).Any(d => d?.Address == address))
                m.Add(ProblemKind.Invalid, "device-twice", $"devices[{i}].address", $"{address} is named twice.", "Name each VF once.");
            if (mac is not null && !IsStationMac(mac))
                m.Add($"devices[{i}].mac", $"'{mac}' is no unicast MAC address.", "Write six hexadecimal pairs with colons, such as 02:00:00:00:00:01; the lowest bit of the first pair must be 0.");
        }
    }

    /// <summary>Rules that need the host.</summary>
    public static void CheckOnHost(CreateVmRequest r, HostView view, Mistakes m)
    {
        var host = view.Host;
        if (HostRules.Refusal(host) is { } refusal)
        {
            m.Add(ProblemKind.Conflict, refusal.Code, "hostId", refusal.Detail, $"{refusal.Remedy} Or choose another host.");
            return;
        }
        if (host.Facts is not { } facts)
        {
            m.Add(ProblemKind.Conflict, "host-not-inventoried", "hostId", $"{host.Name} has not reported what it has yet.", "Wait until its agent is connected.");
            return;
        }
        if (r.Vcpus > facts.OnlineCpus.Count)
            m.Add(ProblemKind.Invalid, "vcpus-too-many", "vcpus", $"{r.Vcpus} vCPUs are more than the {facts.OnlineCpus.Count} CPUs of {host.Name}.", null);
        if (r.MemoryMib > facts.MemoryBytes >> 20)
            m.Add(ProblemKind.Invalid, "memory-too-much", "memoryMib", $"{r.MemoryMib} MiB is more than the {facts.MemoryBytes >> 20} MiB of {host.Name}.", null);
        Image(r.Kernel, "kernel", "kernel");
        if (r.Initrd is { Length: > 0 } initrd)
            Image(initrd, "initrd", "initrd");
        var devices = r.Devices ?? [];
        for (var i = 0; i < devices.Count; i++)
        {
            if (PciAddress.IsValid(devices[i].Address))
                CheckDevice(devices[i].Address, [.. devices.Select(d => d.Address)], view, $"devices[{i}].address", m);
            if (devices[i].Mac is { } mac && view.Vms.FirstOrDefault(v => v.Devices.Exists(d => string.Equals(d.Mac, mac, StringComparison.OrdinalIgnoreCase))) is { } other)
                m.Add(ProblemKind.Conflict, "mac-taken", $"devices[{i}].mac", $"The VM '{other.Name}' on {host.Name} has the MAC address {mac}.", "Give another.");
        }

        void Image(string name, string kind, string field)
        {
            var there = facts.Images.Where(image => image.Kind == kind).Select(image => image.Name).ToList();
            if (name.Length > 0 && !there.Contains(name))
                m.Add(ProblemKind.Invalid, "image-not-found", field, $"{host.Name} has no {kind} '{name}'.", there.Count == 0 ? $"Put a {kind} into the agent's images folder on the host." : $"It has: {string.Join(", ", there)}.");
        }
    }

    /// <summary>Rules that hold whenever a VM is to run: conditions of the host, and memory, which is pinned for assigned devices and cannot be shared.</summary>
    public static void CheckStart(string vmName, Guid? vmId, int memoryMib, bool hasDevices, HostView view, Mistakes m)
    {
        string[] needed = hasDevices ? ["kvm", "virtualization", "iommu", "interrupt-remapping"] : ["kvm", "virtualization"];
        foreach (var missing in view.Host.Capabilities.Where(c => !c.Present && needed.Contains(c.Name)))
            m.Add(ProblemKind.Conflict, $"{missing.Name}-missing", hasDevices && missing.Name is "iommu" or "interrupt-remapping" ? "devices" : "hostId", $"{view.Host.Name} lacks {missing.Name}: {missing.Detail}.", missing.Remedy);
        var total = (view.Host.Facts?.MemoryBytes ?? 0) >> 20;
        var taken = view.Vms.Where(v => v.Id != vmId && (v.Desired == DesiredRun.Running || v.State is VmState.Running or VmState.Starting or VmState.Stopping)).Sum(v => (long)v.MemoryMib);
        if (memoryMib <= total && memoryMib + taken > total)
            m.Add(ProblemKind.Conflict, "memory-short", "memoryMib", $"'{vmName}' needs {memoryMib} MiB, and the VMs that run on {view.Host.Name} hold {taken} of its {total} MiB.", "Stop another VM first.");
    }

    private static void CheckDevice(string address, HashSet<string> mine, HostView view, string field, Mistakes m)
    {
        var host = view.Host;
        var device = view.Devices.FirstOrDefault(d => d.Address == address);
        if (device is null)
        {
            m.Add(ProblemKind.Invalid, "device-not-found", field, $"{host.Name} has no PCI device {address}.", "A VM can own VFs of the host it lives on only; list them at /api/v1/devices.");
            return;
        }
        if (device.Facts.InUse is { } use)
        {
            m.Add(ProblemKind.Conflict, "device-in-use", field, $"{address} is in use: {use}.", "Choose another VF.");
            return;
        }
        if (device.PfAddress is not { } pf)
        {
            m.Add(ProblemKind.Invalid, "device-not-a-vf", field, $"{address} ({device.Facts.Name}) is no VF.", device.Facts.TotalVfs > 0 ? "It is a PF: give it VFs, and choose one of those." : "Choose a VF.");
            return;
        }
        if (view.Owners.TryGetValue(address, out var owner))
        {
            m.Add(ProblemKind.Conflict, "device-owned", field, $"The VM '{owner.Name}' owns {address}.", "Choose another VF, or delete that VM first.");
            return;
        }
        if (view.ChangingPfs.Contains(pf))
        {
            m.Add(ProblemKind.Conflict, "vfs-changing", field, $"The VFs of {pf} are being changed.", "Wait until that operation is over.");
            return;
        }
        if (device.Facts.IommuGroup is not { } group)
        {
            m.Add(ProblemKind.Conflict, "no-iommu", field, $"{address} is in no IOMMU group: nothing keeps it to the guest's memory.", "Enable VT-d or AMD-Vi in the firmware and start the host's kernel with intel_iommu=on.");
            return;
        }
        foreach (var sibling in view.Devices.Where(d => d.Facts.IommuGroup == group && !mine.Contains(d.Address) && !d.Facts.ClassCode.StartsWith(PciBridgeClass, StringComparison.Ordinal)))
        {
            if (view.Owners.TryGetValue(sibling.Address, out var neighbour))
                m.Add(ProblemKind.Conflict, "group-not-viable", field, $"{address} shares IOMMU group {group} with {sibling.Address}, which the VM '{neighbour.Name}' owns.", "Assign all devices of a group to one VM.");
            else if (sibling.Facts.Driver is { } driver && !HarmlessDrivers.Contains(driver))
                m.Add(ProblemKind.Conflict, "group-not-viable", field, $"{address} shares IOMMU group {group} with {sibling.Address}, which the driver {driver} holds.", $"Assign {sibling.Address} to the same VM too, or unbind it from {driver} on the host.");
        }
    }

    /// <summary>A MAC address that a station can have: unicast (IEEE 802-2014 §8.2.2), not all zeros.</summary>
    private static bool IsStationMac(string mac) => Mac().IsMatch(mac) && (Convert.ToInt32(mac[..2], 16) & 1) == 0 && mac.Any(c => c is not ('0' or ':'));

    [GeneratedRegex("^[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?$", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex Name();

    [GeneratedRegex("^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex Mac();
}
