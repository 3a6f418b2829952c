using Exitless.Linux;
using Exitless.Linux.Kvm;
using Exitless.Vmm.Acpi;
using Exitless.Vmm.Boot;
using Exitless.Vmm.Control;
using Exitless.Vmm.Devices;
using Exitless.Vmm.Interrupts;
using Exitless.Vmm.Kvm;
using Exitless.Vmm.Memory;
using Exitless.Vmm.Pci;
using Exitless.Vmm.Vfio;

namespace Exitless.Vmm;

/// <summary>Builds a machine and starts it: first everything that can be refused, then everything that must be undone.</summary>
internal static class MachineBuilder
{
    private const long LargePage = 2 << 20;

    /// <summary>See <see cref="MachineLauncher"/>.</summary>
    public static IMachine Launch(VmConfig config, VmmDescriptors descriptors, ConsoleRing console, Action ended)
    {
        CheckConfig(config);
        var kernel = BzImage.Read(descriptors.Kernel);
        var plan = BootPlan.Make(kernel, descriptors.Initrd is null ? null : new BootFile(descriptors.Initrd, "initrd").Length(), config.CommandLine, (ulong)config.MemoryBytes);
        var kvm = new KvmSystem(descriptors.Kvm);
        var cpuid = kvm.SupportedCpuid();
        var addressEnd = 1UL << GuestCpuid.PhysicalAddressBits(cpuid);
        CheckAddresses(config, addressEnd);

        var owned = new DisposeStack();
        try
        {
            var parts = Build(config, descriptors, console, kernel, plan, kvm, cpuid, addressEnd, owned);
            var machine = new Machine(parts, ended);
            try
            {
                machine.Start();
            }
            catch
            {
                machine.Dispose();
                throw;
            }
            descriptors.Kvm.Dispose();
            descriptors.Kernel.Dispose();
            descriptors.Initrd?.Dispose();
            return machine;
        }
        catch
        {
            owned.Dispose();
            throw;
        }
    }

    /// <summary>Checks what needs no descriptor.</summary>
    /// <exception cref="VmmProblemException">vcpus-unsupported, memory-not-aligned, too-many-devices, device-twice.</exception>
    internal static void CheckConfig(VmConfig config)
    {
        if (config.Vcpus != 1)
            throw new VmmProblemException("vcpus-unsupported", "This version runs VMs with one vCPU.", $"{config.Vcpus} were asked for.", "Set vcpus to 1.", "vcpus");
        if (config.MemoryBytes <= 0 || config.MemoryBytes % LargePage != 0)
        {
            throw new VmmProblemException("memory-not-aligned", "The VM's memory is not made of whole 2 MiB pages.", $"{config.MemoryBytes:#,0} bytes were asked for.",
                $"Choose {Math.Max(1, (config.MemoryBytes + LargePage - 1) / LargePage) * 2:#,0} MiB.", "memoryBytes");
        }
        if (config.Devices.Count >= PciBus.Slots)
            throw new VmmProblemException("too-many-devices", "The VM has more devices than its bus has slots.", $"{config.Devices.Count} were asked for; {PciBus.Slots - 1} fit.", "Assign fewer devices.", "devices");
        if (config.Devices.GroupBy(d => d.Address, StringComparer.Ordinal).FirstOrDefault(g => g.Count() > 1) is { } twice)
            throw new VmmProblemException("device-twice", "A device is assigned twice.", $"{twice.Key} is in the list {twice.Count()} times.", "Name it once.", "devices");
    }

    internal static void CheckAddresses(VmConfig config, ulong addressEnd)
    {
        var end = (ulong)config.MemoryBytes <= MemoryMap.PciHole ? MemoryMap.FourGibibytes : (ulong)config.MemoryBytes + MemoryMap.FourGibibytes - MemoryMap.PciHole;
        if (end > addressEnd)
            throw new VmmProblemException("memory-too-large", "The VM has more memory than its CPUs can address.", $"Its memory would end at 0x{end:x}; the CPU's addresses end at 0x{addressEnd:x}.", "Give the VM less memory.", "memoryBytes");
    }

    private static MachineParts Build(
        VmConfig config, VmmDescriptors descriptors, ConsoleRing console, BzImage kernel, BootPlan plan, KvmSystem kvm, KvmCpuidEntry[] cpuid, ulong addressEnd, DisposeStack owned)
    {
        var vm = owned.Push(kvm.CreateVm());
        vm.SetIdentityMapAddress(MemoryMap.IdentityMap);
        vm.SetTssAddress(MemoryMap.Tss);
        vm.CreateIrqchip();
        if (kvm.CheckExtension(KvmCapabilities.X2ApicApi) > 0)
            vm.UseX2ApicIds();
        var memory = owned.Push(new GuestMemory((ulong)config.MemoryBytes));
        var nextSlot = memory.AddTo(vm);

        var assignment = config.Devices.Count == 0 ? null : DeviceAssignment.Open(config, descriptors, vm, memory, addressEnd, owned);
        var routes = new GsiRoutes(vm, assignment?.VectorCount ?? 0);
        var bus = new PciBus();
        List<AssignedDevice> devices = assignment?.Attach(bus, vm, routes, nextSlot, owned) ?? [];

        var end = new GuestEnd();
        var serial = new SerialPort(console, Interrupt(vm, Dsdt.SerialGsi, owned));
        var powerButton = Interrupt(vm, Dsdt.EventGsi, owned);
        var entry = LinuxLoader.Load(memory, kernel, descriptors, plan, new AcpiTables(config.Vcpus, assignment?.Mmio64));
        var vcpus = Vcpus(vm, config.Vcpus, kvm, cpuid, entry, owned);
        return new MachineParts
        {
            Owned = owned,
            End = end,
            Ports = Ports(serial, bus, end),
            Mmio = new MmioBus(bus),
            Serial = serial,
            PowerButton = powerButton,
            Vcpus = vcpus,
            VcpuCpus = config.VcpuCpus,
            VmStatistics = owned.Push(vm.OpenStatistics()),
            VcpuStatistics = [.. vcpus.Select(v => owned.Push(v.OpenStatistics()))],
            Devices = devices,
        };
    }

    private static List<KvmVcpu> Vcpus(KvmVm vm, int count, KvmSystem kvm, KvmCpuidEntry[] cpuid, ulong entry, DisposeStack owned)
    {
        var tscDeadline = kvm.CheckExtension(KvmCapabilities.TscDeadlineTimer) > 0;
        var vcpus = new List<KvmVcpu>();
        for (var i = 0; i < count; i++)
        {
            var vcpu = owned.Push(vm.CreateVcpu(i));
            vcpu.SetCpuid(GuestCpuid.For(cpuid, (uint)i, count, tscDeadline));
            vcpu.SetMsrs(BootMsrs.All);
            // The others wait for the INIT and start-up IPIs that the first one sends.
            if (i == 0)
                LongMode.Enter(vcpu, entry);
            vcpus.Add(vcpu);
        }
        return vcpus;
    }

    private static PortBus Ports(SerialPort serial, PciBus bus, GuestEnd end)
    {
        var ports = new PortBus();
        ports.Add(Dsdt.SerialPort, SerialPort.Ports, serial);
        ports.Add(PciPorts.First, PciPorts.Count, new PciPorts(bus, new ResetControl(end)));
        ports.Add(AcpiSleep.ControlPort, 2, new AcpiSleep(end));
        ports.Add(KeyboardController.Port, 1, new KeyboardController(end));
        ports.Add(Cmos.Port, 2, new Cmos());
        return ports;
    }

    private static EventFd Interrupt(KvmVm vm, int gsi, DisposeStack owned)
    {
        var trigger = owned.Push(new EventFd());
        return vm.TryAssignIrqfd(trigger, gsi) ? trigger : throw new LinuxException($"KVM_IRQFD {gsi}", Ioctl.LastError);
    }
}
