using Exitless.Vmm.Devices;
using Exitless.Vmm.Interrupts;
using Exitless.Vmm.Kvm;
using Exitless.Vmm.Pci;

namespace Exitless.Vmm;

/// <summary>
/// Puts a machine back as it was when it was switched on: devices first, so that no DMA and no interrupt comes any more, then interrupt controllers, memory
/// and vCPUs. RAM keeps what the guest left in it where nothing is loaded, as after a warm reset of real hardware.
/// </summary>
internal sealed class GuestRestart
{
    private const int Chips = 3;
    private readonly IoApic? _ioApic;
    private readonly KvmVm _vm;
    private readonly PciBus _bus;
    private readonly SerialPort _serial;
    private readonly Action _load;
    private readonly byte[][] _chips;
    private readonly (KvmVcpu Vcpu, VcpuState State)[] _vcpus;

    /// <summary>Takes the state of everything, before the guest runs.</summary>
    /// <param name="kvm">Tells what there is.</param>
    /// <param name="vm">The VM.</param>
    /// <param name="vcpus">Its vCPUs, ready to be run.</param>
    /// <param name="bus">Its PCI devices.</param>
    /// <param name="serial">Its serial port.</param>
    /// <param name="ioApic">The IOAPIC of a split irqchip; null: KVM has all of it.</param>
    /// <param name="load">Loads kernel, initrd and tables again.</param>
    public GuestRestart(KvmSystem kvm, KvmVm vm, IReadOnlyList<KvmVcpu> vcpus, PciBus bus, SerialPort serial, IoApic? ioApic, Action load)
    {
        (_vm, _bus, _serial, _ioApic, _load) = (vm, bus, serial, ioApic, load);
        _chips = ioApic is null ? [.. Enumerable.Range(0, Chips).Select(vm.GetIrqchip)] : [];
        _vcpus = [.. vcpus.Select(v => (v, new VcpuState(kvm, v)))];
    }

    /// <summary>Does it, while all vCPUs wait.</summary>
    /// <exception cref="Control.VmmProblemException">The kernel's or the initrd's file cannot be read any more.</exception>
    public void Run()
    {
        _bus.Reset();
        _serial.Reset();
        foreach (var chip in _chips)
            _vm.SetIrqchip(chip);
        _ioApic?.Reset();
        _load();
        foreach (var (vcpu, state) in _vcpus)
            state.PutBack(vcpu);
    }
}
