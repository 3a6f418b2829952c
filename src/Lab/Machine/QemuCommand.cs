using System.Security.Cryptography;
using System.Text;

namespace Exitless.Lab.Machine;

/// <summary>The QEMU command line of an emulated SR-IOV host.</summary>
internal static class QemuCommand
{
    // AMD CPUs beside an Intel IOMMU: QEMU's software emulation has just these two. `iommu=nopt` keeps the host's own DMA translated.
    // `no_timer_check`: on a machine so busy that the emulated timer does not tick in time, the kernel would panic while it boots.
    private const string KernelCommandLine = "console=ttyS0 quiet intel_iommu=on iommu=nopt mitigations=off tsc=reliable no_timer_check panic=-1";

    /// <summary>All arguments, the program itself not included.</summary>
    public static IReadOnlyList<string> Build(LabHostOptions options, RunFolder folder, string kernel, IReadOnlyList<string> firmware)
    {
        List<string> arguments =
        [
            "-name", "exitless-" + options.Name, "-uuid", $"{MachineId(options.Name)}", .. firmware,
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-pidfile", folder.ProcessId,
            "-accel", "tcg,thread=multi", "-M", "q35",
            "-cpu", options.Svm ? "max,+svm,+npt,+x2apic" : "max,-svm,+x2apic",
            "-smp", $"{options.Cpus}", "-m", $"{options.MemoryMiB}M",
            // VF BARs must lie below 4 GiB: QEMU 10.0 drops the upper half of their addresses.
            "-global", "q35-pcihost.pci-hole64-size=0",
            "-kernel", kernel, "-initrd", folder.Initramfs, "-append", $"{KernelCommandLine} {options.KernelArguments}".TrimEnd(),
            "-chardev", "file,id=console,path=" + Escape(folder.Console), "-serial", "chardev:console",
            "-qmp", $"unix:{Escape(folder.Qmp)},server=on,wait=off",
        ];
        // Before the other devices: QEMU gives a device its address space when it is made.
        if (options.Iommu)
            arguments.AddRange(["-device", options.InterruptRemapping
                ? $"intel-iommu,intremap=on,eim=on,caching-mode=on,aw-bits={options.AddressWidth}"
                : $"intel-iommu,intremap=off,caching-mode=on,aw-bits={options.AddressWidth}"]);
        arguments.AddRange(["-device", $"virtio-serial-pci,max_ports={ControlShell.Slots}"]);
        for (var slot = 0; slot < ControlShell.Slots; slot++)
            arguments.AddRange(["-chardev", $"socket,id=shell{slot},path={Escape(folder.Shell(slot))},server=on,wait=off", "-device", $"virtconsole,chardev=shell{slot}"]);
        arguments.AddRange(["-netdev", "user,id=management,net=10.0.2.0/24,host=10.0.2.2", "-device", $"virtio-net-pci,netdev=management,romfile=,mac={ManagementMac(options.Name)}"]);
        for (var nic = 0; nic < options.Nics; nic++)
        {
            arguments.AddRange(
            [
                // A network that ends at its own gateway.
                "-netdev", $"user,id=nic{nic},restrict=on,net=10.0.{3 + nic}.0/24,host=10.0.{3 + nic}.2",
                "-device", $"pcie-root-port,id=port{nic},slot={1 + nic},chassis={1 + nic},pref32-reserve=4M",
                "-device", $"igb,bus=port{nic},netdev=nic{nic},romfile=,mac={Mac(options.Name, $"nic{nic}")}",
            ]);
        }
        if (options.Nvme)
        {
            arguments.AddRange(
            [
                "-drive", $"file={Escape(folder.NvmeDisk)},if=none,format=raw,id=disk0",
                "-device", "pcie-root-port,id=nvmeport,slot=9,chassis=9,pref32-reserve=4M",
                "-device", "nvme-subsys,id=subsystem0",
                "-device", $"nvme,id=nvme0,bus=nvmeport,serial=exitless-{options.Name},subsys=subsystem0,sriov_max_vfs=2,sriov_vq_flexible=4,sriov_vi_flexible=2,max_ioqpairs=6,msix_qsize=8",
                "-device", "nvme-ns,drive=disk0,bus=nvme0",
            ]);
        }
        if (options.ShareFolder is { } share)
            arguments.AddRange(["-fsdev", $"local,id=share,security_model=none,path={Escape(Path.GetFullPath(share))}", "-device", "virtio-9p-pci,fsdev=share,mount_tag=share"]);
        arguments.AddRange(options.QemuArguments);
        return arguments;
    }

    /// <summary>The MAC address of a host's management NIC.</summary>
    public static string ManagementMac(string name) => Mac(name, "management");

    // Locally administered, in QEMU's own prefix; a host keeps its addresses from boot to boot, and two hosts differ.
    private static string Mac(string name, string role)
    {
        var hash = SHA256.HashData(Encoding.UTF8.GetBytes($"{name}/{role}"));
        return $"52:54:00:{hash[0]:x2}:{hash[1]:x2}:{hash[2]:x2}";
    }

    // The DMI product UUID: by it the control plane knows a host that boots again.
    private static Guid MachineId(string name) => new(SHA256.HashData(Encoding.UTF8.GetBytes($"{name}/machine")).AsSpan(0, 16));

    // A comma ends a value in QEMU's option syntax; two stand for one.
    private static string Escape(string path) => path.Replace(",", ",,", StringComparison.Ordinal);
}
