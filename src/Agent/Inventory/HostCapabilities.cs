using System.Globalization;
using Exitless.Contracts;
using Exitless.Linux;
using Exitless.Linux.Procfs;
using Exitless.Linux.Sysfs;

namespace Exitless.Agent.Inventory;

/// <summary>The conditions of running VMs with assigned devices, each with what it rests on and what to do where it is missing.</summary>
internal static class HostCapabilities
{
    public const string Kvm = "kvm", Virtualization = "virtualization", Iommu = "iommu", InterruptRemapping = "interrupt-remapping", Vfio = "vfio", Memlock = "memlock", Eli = "eli";

    public static IReadOnlyList<Capability> Read(HostRoot root) => Read(root, CpuFacts.Read(root));

    public static IReadOnlyList<Capability> Read(HostRoot root, CpuFacts cpu) =>
        [ReadVirtualization(cpu), ReadKvm(root), ReadIommu(root), ReadInterruptRemapping(root), ReadVfio(root), ReadMemlock(root), .. ReadEli(root)];

    // No condition: named where it is there. What keeps a host from it is a finding of the doctor's.
    private static IEnumerable<Capability> ReadEli(HostRoot root)
    {
        var path = "module/kvm_amd/parameters/eli";
        return SysfsFile.Text(root.Sys(path)) == "Y" ? [Make(Eli, true, $"KVM has direct interrupts (/sys/{path})", "")] : [];
    }

    private static Capability ReadVirtualization(CpuFacts cpu)
    {
        var present = cpu.HasVmx || cpu.HasSvm;
        return Make(Virtualization, present,
            cpu.HasVmx ? "Intel VT-x (CPU flag vmx)" : cpu.HasSvm ? "AMD SVM (CPU flag svm)" : "The CPU shows neither vmx nor svm.",
            "Turn on virtualization (Intel VT-x, AMD SVM) in the firmware's set-up; on a host that is itself a VM, turn on nested virtualization for it.");
    }

    private static Capability ReadKvm(HostRoot root)
    {
        var path = root.Dev("kvm");
        string? failure = null;
        if (!File.Exists(path))
        {
            failure = "/dev/kvm does not exist.";
        }
        else
        {
            try
            {
                using var file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                failure = $"/dev/kvm cannot be opened: {e.Message}";
            }
        }
        return Make(Kvm, failure is null, failure ?? "/dev/kvm opens", "Load KVM's module: modprobe kvm_intel, or modprobe kvm_amd, by the CPU's vendor; and run the agent as root.");
    }

    private static Capability ReadIommu(HostRoot root)
    {
        var units = SysfsFile.Names(root.Sys("class/iommu"));
        var groups = SysfsFile.Names(root.Sys("kernel/iommu_groups")).Count;
        // The unit and the CPU may be of different vendors (emulated hosts), so the remedy names both.
        return Make(Iommu, groups > 0,
            groups > 0 ? $"{units.Count} IOMMU unit(s) ({string.Join(", ", units)}), {groups} groups"
                : units.Count > 0 ? $"IOMMU unit(s) {string.Join(", ", units)} exist, but translate for no device." : "The kernel drives no IOMMU.",
            "Turn on the IOMMU (Intel VT-d, AMD-Vi) in the firmware's set-up, and add intel_iommu=on (Intel's IOMMU) to the kernel's command line; AMD's needs no option.");
    }

    private static Capability ReadInterruptRemapping(HostRoot root)
    {
        var remapped = InterruptChips.AreRemapped(root);
        return Make(InterruptRemapping, remapped == true,
            remapped switch
            {
                true => "The kernel's interrupt chips are remapped ones (IR- in /proc/interrupts)",
                false => "No interrupt chip in /proc/interrupts is a remapped one (IR-): a device could forge any interrupt of the host.",
                null => "/proc/interrupts names no interrupt chip.",
            },
            "Turn on interrupt remapping: VT-d with x2APIC in the firmware's set-up, and no intremap=off, nointremap or noapic on the kernel's command line. "
            + "Exitless never sets vfio's allow_unsafe_interrupts: a guest could then raise any interrupt of the host.");
    }

    private static Capability ReadVfio(HostRoot root)
    {
        var driver = Directory.Exists(root.Sys("bus/pci/drivers/vfio-pci"));
        // A kernel with iommufd may be built without groups and containers.
        var door = File.Exists(root.Dev("vfio/vfio")) ? "/dev/vfio/vfio" : File.Exists(root.Dev("iommu")) ? "/dev/iommu" : null;
        return Make(Vfio, driver && door is not null,
            driver && door is not null ? $"vfio-pci is loaded and {door} exists" : driver ? "/dev/vfio/vfio does not exist." : "The driver vfio-pci is not loaded.",
            "Load VFIO: modprobe vfio-pci && modprobe vfio_iommu_type1; name both in /etc/modules-load.d/vfio.conf to have them after each boot.");
    }

    private static Capability ReadMemlock(HostRoot root)
    {
        var limit = LockedMemoryLimit.Read(root);
        return Make(Memlock, limit.HasIpcLock || limit.Limit is null,
            limit.HasIpcLock ? "CAP_IPC_LOCK: no limit on locked memory holds"
                : limit.Limit is { } bytes ? string.Create(CultureInfo.InvariantCulture, $"At most {bytes >> 20} MiB may be locked.") : "No limit on locked memory",
            "A VM with a device locks all its memory. Run the agent as root with CAP_IPC_LOCK, or set LimitMEMLOCK=infinity in its systemd unit.");
    }

    private static Capability Make(string name, bool present, string detail, string remedy) =>
        new() { Name = name, Present = present, Detail = detail, Remedy = present ? "" : remedy };
}
