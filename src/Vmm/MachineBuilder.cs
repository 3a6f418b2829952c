using Exitless.Linux;
using Exitless.Linux.Kvm;
using Exitless.Vmm.Acpi;
using Exitless.Vmm.Boot;
using Exitless.Vmm.Boot.FromDisk;
using Exitless.Vmm.Control;
using Exitless.Vmm.Devices;
using Exitless.Vmm.Interrupts;
using Exitless.Vmm.Kvm;
using Exitless.Vmm.Memory;
using Exitless.Vmm.Pci;
using Exitless.Vmm.Vfio;
using Exitless.Vmm.Virtio;

namespace Exitless.Vmm;

/// <summary>Builds a machine and starts it: first everything that can be refused, then everything that must be undone.</summary>
internal static class MachineBuilder
{
    /// <summary>See <see cref="MachineLauncher"/>.</summary>
    /// <param name="confine">Gives up privileges; called when everything is open, before the guest runs.</param>
    public static IMachine Launch(VmConfig config, VmmDescriptors descriptors, ConsoleRing console, Action ended, Action? confine = null)
    {
        ConfigChecks.Check(config);
        var topology = ConfigChecks.Topology(config);
        MemoryChecks.CheckHost(config, HostRoot.Machine);
        config = DiskBoot.Prepare(config, descriptors);
        var kernel = GuestKernel.Read(descriptors.Kernel!);
        var plan = BootPlan.Make(kernel, descriptors.Initrd is null ? null : new BootFile(descriptors.Initrd, "initrd").Length(), config.CommandLine, (ulong)config.MemoryBytes);
        var kvm = new KvmSystem(descriptors.Kvm);
        kvm.CheckVcpus(topology);
        var cpuid = InterruptFeatures.Hide(kvm.SupportedCpuid(), config.Interrupts);
        var addressEnd = 1UL << GuestCpuid.PhysicalAddressBits(cpuid);
        ConfigChecks.CheckAddresses(config, addressEnd);

        var owned = new DisposeStack();
        try
        {
            var parts = Build(config, descriptors, console, ended, kernel, plan, kvm, cpuid, topology, addressEnd, owned);
            var machine = new Machine(parts, ended);
            try
            {
                confine?.Invoke();
                machine.Start();
            }
            catch
            {
                machine.Dispose();
                throw;
            }
            descriptors.Kvm.Dispose();
            if (config.OnReset != VmOnReset.Restart)
            {
                descriptors.Kernel?.Dispose();
                descriptors.Initrd?.Dispose();
            }
            return machine;
        }
        catch
        {
            owned.Dispose();
            throw;
        }
    }

    private static MachineParts Build(
        VmConfig config, VmmDescriptors descriptors, ConsoleRing console, Action happened, GuestKernel kernel, BootPlan plan, KvmSystem kvm, KvmCpuidEntry[] cpuid, CpuTopology topology, ulong addressEnd, DisposeStack owned)
    {
        var virtio = VirtioDevices.Open(config, descriptors, console, owned);
        var vm = owned.Push(kvm.CreateVm());
        vm.SetIdentityMapAddress(MemoryMap.IdentityMap);
        vm.SetTssAddress(MemoryMap.Tss);
        MakeIrqchip(kvm, vm, config.SplitIrqchip);
        if (kvm.CheckExtension(KvmCapabilities.X2ApicApi) > 0)
            vm.UseX2ApicIds();
        if (config.Interrupts.OwnCpus)
            InterruptFeatures.OwnCpus(kvm, vm);
        var nodes = GuestNodes.Of(config.Memory, HostRoot.Machine);
        var memory = owned.Push(new GuestMemory((ulong)config.MemoryBytes, config.Memory, nodes));
        var shadows = config.Interrupts.Direct == VmDirectInterrupts.None ? null : owned.Push(ShadowTables.Make(kvm, topology));
        var slots = new MemorySlotNumbers(shadows is null ? memory.AddTo(vm) : shadows.AddTo(vm, memory.AddTo(vm, shadows.Range)));
        shadows?.Switch(vm, config.Interrupts.Direct);
        Action<bool>? suspend = shadows is null ? null : suspended => shadows.Switch(vm, suspended ? VmDirectInterrupts.None : config.Interrupts.Direct);

        var routes = new GsiRoutes(vm, virtio.VectorCount, splitIrqchip: config.SplitIrqchip);
        var ioApic = config.SplitIrqchip ? new IoApic(routes) : null;
        var bus = new PciBus();
        var files = new KvmVfioFiles(vm);
        var space = new ChosenSpace(new GroupSpace(VfioCalls.Kernel, files, memory.Ranges), new IommufdSpace(VfioCalls.Kernel, files, memory.Ranges));
        var devices = owned.Push(new MachineDevices(space, (vm, vm, config.SplitIrqchip ? null : vm), slots, routes, bus, Interrupt(vm, PciHotplug.Gsi), happened, TimeProvider.System, !config.NoPeerToPeer, config.Interrupts.Injected, suspend));
        var mmio64 = devices.Launch(config, descriptors.OfDevices(config), addressEnd);
        virtio.Attach(bus, vm, routes, memory, owned);

        var restarts = config.OnReset == VmOnReset.Restart;
        var end = new GuestEnd(restarts);
        var serial = new SerialPort(console, owned.Push(Interrupt(vm, Dsdt.SerialGsi)));
        var powerButton = owned.Push(Interrupt(vm, Dsdt.EventGsi));
        var acpi = new AcpiTables(topology, mmio64, nodes);
        void Load() => LinuxLoader.Load(memory, kernel, descriptors, plan, acpi);
        Load();
        var vcpus = Vcpus(vm, topology, kvm, cpuid, kernel, owned);
        if (restarts)
            KeepFiles(descriptors, owned);
        return new MachineParts
        {
            Owned = owned,
            End = end,
            Ports = Ports(serial, bus, devices.Hotplug, end),
            Mmio = new MmioBus(bus, ioApic),
            Serial = serial,
            VirtioConsole = virtio.Console,
            PowerButton = powerButton,
            Vcpus = vcpus,
            Restart = restarts ? new GuestRestart(kvm, vm, vcpus, bus, serial, ioApic, Load) : null,
            VcpuCpus = config.VcpuCpus,
            Topology = topology,
            VmStatistics = owned.Push(vm.OpenStatistics()),
            VcpuStatistics = [.. vcpus.Select(v => owned.Push(v.OpenStatistics()))],
            Devices = devices,
            Space = space,
            Routes = routes,
            Slots = slots,
        };
    }

    private static void MakeIrqchip(KvmSystem kvm, KvmVm vm, bool split)
    {
        if (!split)
        {
            vm.CreateIrqchip();
            return;
        }
        if (kvm.CheckExtension(KvmCapabilities.SplitIrqchip) <= 0)
        {
            throw new VmmProblemException("split-irqchip-unsupported", "This host's KVM has no split irqchip.", "It lacks KVM_CAP_SPLIT_IRQCHIP.",
                "Use the full irqchip, which is the default.", "splitIrqchip");
        }
        vm.SplitIrqchip(GsiRoutes.IoApicPins);
    }

    private static List<KvmVcpu> Vcpus(KvmVm vm, CpuTopology topology, KvmSystem kvm, KvmCpuidEntry[] cpuid, GuestKernel kernel, DisposeStack owned)
    {
        var tscDeadline = kvm.CheckExtension(KvmCapabilities.TscDeadlineTimer) > 0;
        // KVM's number of a vCPU is its APIC id.
        var vcpus = new List<KvmVcpu>();
        for (var i = 0; i < topology.Count; i++)
        {
            var vcpu = owned.Push(vm.CreateVcpu((int)topology.ApicId(i)));
            vcpu.SetCpuid(GuestCpuid.For(cpuid, topology, i, tscDeadline));
            vcpu.SetMsrs(BootMsrs.All);
            // The others wait for the INIT and start-up IPIs that the first one sends.
            if (i == 0)
                kernel.Enter(vcpu);
            vcpus.Add(vcpu);
        }
        return vcpus;
    }

    private static PortBus Ports(SerialPort serial, PciBus bus, HotplugController hotplug, GuestEnd end)
    {
        var ports = new PortBus();
        ports.Add(Dsdt.SerialPort, SerialPort.Ports, serial);
        ports.Add(PciPorts.First, PciPorts.Count, new PciPorts(bus, new ResetControl(end)));
        ports.Add(BarPlacement.FirstPort, BarPlacement.Ports, new PciIoWindow(bus));
        ports.Add(HotplugController.Port, HotplugController.Ports, hotplug);
        ports.Add(AcpiSleep.ControlPort, 2, new AcpiSleep(end));
        ports.Add(PanicPort.Port, 1, new PanicPort(end));
        ports.Add(KeyboardController.Port, 1, new KeyboardController(end));
        ports.Add(Cmos.Port, 2, new Cmos());
        return ports;
    }

    /// <summary>A guest that starts again is loaded from the same files.</summary>
    private static void KeepFiles(VmmDescriptors descriptors, DisposeStack owned)
    {
        owned.Push(descriptors.Kernel!);
        if (descriptors.Initrd is { } initrd)
            owned.Push(initrd);
    }

    private static EventFd Interrupt(KvmVm vm, int gsi)
    {
        var trigger = new EventFd();
        if (vm.TryAssignIrqfd(trigger, gsi))
            return trigger;
        var error = Ioctl.LastError;
        trigger.Dispose();
        throw new LinuxException($"KVM_IRQFD {gsi}", error);
    }
}
