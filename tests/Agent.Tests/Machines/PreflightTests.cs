using Exitless.Agent.Tests.Trees;
using Exitless.Contracts;

namespace Exitless.Agent.Tests.Machines;

/// <summary>Each bad input is refused with its code, the value and the remedy, and nothing of the host was written.</summary>
public sealed class PreflightTests : IDisposable
{
    private readonly RecordedHost _host = new();
    private readonly WantedVm _vm = new()
    {
        VmId = "0198b6b2-0000-7000-8000-000000000001",
        Name = "web",
        Vcpus = 1,
        MemoryMib = 256,
        Kernel = "good.vmlinuz",
        Initrd = "good.initrd",
        Devices = { new WantedDevice { Address = RecordedHost.Vf0, Mac = "52:54:00:12:34:56" } },
    };

    public void Dispose() => _host.Dispose();

    [Fact]
    public void A_good_VM_passes()
    {
        var plan = _host.Preflight.Check(_vm);
        var device = Assert.Single(plan.Devices);
        Assert.Equal((RecordedHost.Vf0, 8, "525400000100"), (device.Function.Address, device.Group, device.CurrentMac?.ToString()));
        Assert.EndsWith("/images/good.vmlinuz", plan.KernelPath);
    }

    [Fact]
    public void No_kvm()
    {
        _host.Delete("dev/kvm");
        Refused("no-kvm", "/dev/kvm does not exist", "modprobe kvm", "");
    }

    [Fact]
    public void No_virtualization()
    {
        _host.Write("proc/cpuinfo", "vendor_id : GenuineIntel\nflags : fpu vme");
        Refused("no-virtualization", "neither vmx nor svm", "firmware", "");
    }

    [Fact]
    public void No_iommu()
    {
        _host.Delete("sys/kernel/iommu_groups");
        _host.Delete("sys/class/iommu");
        Refused("no-iommu", "drives no IOMMU", "intel_iommu=on", "");
    }

    [Fact]
    public void Interrupt_remapping_off_even_where_unsafe_interrupts_are_allowed()
    {
        _host.Write("proc/interrupts", "  9:  0  0  IO-APIC   9-fasteoi   acpi\n 25: 0 0 PCI-MSIX-0000:00:03.0   0-edge   x\n");
        _host.Write("sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts", "Y");
        Refused("interrupt-remapping-off", "IR-", "intremap=off", "");
        Assert.Equal("Y\n", _host.Text("sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts"));
    }

    [Fact]
    public void Without_a_device_neither_iommu_nor_vfio_is_needed()
    {
        _vm.Devices.Clear();
        _host.Delete("sys/kernel/iommu_groups");
        _host.Delete("dev/vfio");
        _host.Write("proc/interrupts", "");
        Assert.Empty(_host.Preflight.Check(_vm).Devices);
    }

    [Fact]
    public void No_vfio()
    {
        _host.Delete("sys/bus/pci/drivers/vfio-pci");
        Refused("no-vfio", "vfio-pci is not loaded", "modprobe vfio-pci", "");
    }

    [Theory]
    [InlineData("missing.vmlinuz", "no kernel 'missing.vmlinuz'")]
    [InlineData("good.initrd", "no kernel 'good.initrd'")]
    [InlineData("../images/good.vmlinuz", "no kernel '../images/good.vmlinuz'")]
    [InlineData("", "No kernel is named")]
    public void Kernel_not_found(string name, string says)
    {
        _vm.Kernel = name;
        Refused("image-not-found", says, "good.vmlinuz", "kernel");
    }

    [Fact]
    public void Initrd_not_found()
    {
        _vm.Initrd = "missing.initrd";
        Refused("image-not-found", "missing.initrd", "good.initrd", "initrd");
    }

    [Fact]
    public void Kernel_that_is_no_bzImage()
    {
        File.WriteAllText(Path.Combine(_host.Images.Path, "text.vmlinuz"), "no kernel");
        _vm.Kernel = "text.vmlinuz";
        Refused("kernel-not-bzimage", "text.vmlinuz", "/boot/vmlinuz", "kernel");
    }

    [Theory]
    [InlineData("0000:01:10.4")]
    [InlineData("0000:01:10")]
    [InlineData("../../etc")]
    [InlineData("")]
    public void Device_not_found(string address)
    {
        _vm.Devices[0].Address = address;
        Refused("device-not-found", $"'{address}'", "lists", "devices[0].address");
    }

    [Theory]
    [InlineData(RecordedHost.Disk, "root disk")]
    [InlineData(RecordedHost.Management, "route to the control plane")]
    [InlineData(RecordedHost.Pf, "2 VFs")]
    [InlineData(RecordedHost.Bridge, "bridge")]
    public void Device_in_use(string address, string says)
    {
        _vm.Devices[0] = new WantedDevice { Address = address };
        Refused("device-in-use", says, "another device", "devices[0].address");
    }

    [Fact]
    public void Device_with_a_disk_that_the_kernel_holds()
    {
        _host.AddDisk("nvme0n1", $"sys/devices/pci0000:00/{RecordedHost.Gpu}/nvme/nvme0/nvme0n1", "259:0", ("nvme0n1p1", "259:1"));
        _host.ClaimedDisks.Add("nvme0n1p1");
        _vm.Devices[0] = new WantedDevice { Address = RecordedHost.Gpu };
        Refused("device-in-use", "/dev/nvme0n1p1, which the host's kernel holds", "free this one", "devices[0].address");
    }

    [Fact]
    public void Device_of_another_manager()
    {
        _host.SetDriver(RecordedHost.Vf0, "vfio-pci");
        _host.AddProcess(99, "qemu-system-x86", "/dev/vfio/8");
        Refused("device-in-use", "QEMU (process 99", "another device", "devices[0].address");
    }

    [Fact]
    public void Device_of_another_VM()
    {
        _host.Claims.Take("other", "database", [RecordedHost.Vf0]);
        Refused("device-owned-by-vm", "database", "Stop database", "devices[0].address");
    }

    [Fact]
    public void Device_twice()
    {
        _vm.Devices.Add(new WantedDevice { Address = RecordedHost.Vf0 });
        Refused("device-twice", RecordedHost.Vf0, "once", "devices[1].address");
    }

    [Fact]
    public void Device_without_a_group()
    {
        _host.Delete($"{RecordedHost.Device(RecordedHost.Vf0)}/iommu_group");
        Refused("device-without-iommu-group", RecordedHost.Vf0, "link up", "devices[0].address");
    }

    [Fact]
    public void Group_not_viable_names_the_sibling_and_its_driver()
    {
        _vm.Devices[0] = new WantedDevice { Address = RecordedHost.Gpu };
        Refused("group-not-viable", "group 11, and 0000:03:00.1 in it is driven by snd_hda_intel", "unbind it from snd_hda_intel", "devices[0].address");
        _host.SetDriver(RecordedHost.GpuAudio, null);
        Assert.Single(_host.Preflight.Check(_vm).Devices);
    }

    [Fact]
    public void A_whole_group_passes()
    {
        _vm.Devices[0] = new WantedDevice { Address = RecordedHost.Gpu };
        _vm.Devices.Add(new WantedDevice { Address = RecordedHost.GpuAudio });
        Assert.Equal(2, _host.Preflight.Check(_vm).Devices.Count);
    }

    [Fact]
    public void A_sibling_of_another_VM_makes_the_group_not_viable()
    {
        _host.SetDriver(RecordedHost.GpuAudio, "vfio-pci");
        _host.Claims.Take("other", "music", [RecordedHost.GpuAudio]);
        _vm.Devices[0] = new WantedDevice { Address = RecordedHost.Gpu };
        Refused("group-not-viable", "belongs to the VM music", "stop music", "devices[0].address");
    }

    [Theory]
    [InlineData("52:54:00:12:34")]
    [InlineData("52-54-00-12-34-56-78")]
    [InlineData("01:00:5e:00:00:01")]   // multicast
    [InlineData("00:00:00:00:00:00")]
    [InlineData("hello")]
    public void Mac_invalid(string mac)
    {
        _vm.Devices[0].Mac = mac;
        Refused("mac-invalid", $"'{mac}'", "empty", "devices[0].mac");
    }

    [Fact]
    public void Mac_of_another_VF()
    {
        _vm.Devices[0].Mac = "52:54:00:00:01:01";
        Refused("mac-in-use", RecordedHost.Vf1, "another MAC", "devices[0].mac");
    }

    [Fact]
    public void Mac_for_what_is_no_VF()
    {
        _host.SetDriver(RecordedHost.GpuAudio, null);
        _vm.Devices[0] = new WantedDevice { Address = RecordedHost.Gpu, Mac = "52:54:00:12:34:56" };
        Refused("mac-needs-vf", RecordedHost.Gpu, "empty", "devices[0].mac");
    }

    [Fact]
    public void Memory_too_little_free()
    {
        _vm.MemoryMib = 4096;
        Refused("memory-too-little-free", "4096 MiB for the guest and 64 MiB for its process are needed; 1478 MiB are free", "less memory", "memoryMib");
    }

    [Fact]
    public void Memlock_too_low()
    {
        _host.Write("proc/self/status", "CapEff:\t0000000000000000");
        Refused("memlock-too-low", "320 MiB are needed, 8 MiB are allowed", "LimitMEMLOCK=infinity", "memoryMib");
        _vm.Devices.Clear();
        _host.Preflight.Check(_vm);   // only a device makes it lock
    }

    private void Refused(string code, string detail, string remedy, string field)
    {
        var before = Snapshot();
        var problem = Assert.Throws<ProblemException>(() => _host.Preflight.Check(_vm)).Problem;
        Assert.Equal((code, field), (problem.Code, problem.Field));
        Assert.Contains(detail, problem.Detail);
        Assert.Contains(remedy, problem.Remedy);
        Assert.NotEmpty(problem.Title);
        Assert.Equal(before, Snapshot());
        Assert.Empty(_host.Netlink.Changes);
    }

    // Every file's content that a start could change.
    private string Snapshot() => string.Join('\n', Directory.EnumerateFiles(_host.At("sys/devices/pci0000:00"), "*", new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.ReparsePoint })
        .Order().Select(f => f + "=" + File.ReadAllText(f))) + _host.Text("sys/bus/pci/drivers_probe");
}
