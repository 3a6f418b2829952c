using Exitless.Linux;
using Exitless.Linux.Vfio;
using Exitless.Vmm.Acpi;
using Exitless.Vmm.Control;
using Exitless.Vmm.Interrupts;
using Exitless.Vmm.Memory;
using Exitless.Vmm.Pci;

namespace Exitless.Vmm.Vfio;

/// <summary>Makes functions for the guest's bus out of opened devices.</summary>
/// <param name="slots">The VM's memory slots.</param>
/// <param name="numbers">Their numbers.</param>
/// <param name="irqfds">KVM's irqfds.</param>
/// <param name="level">Those for pins of the IOAPIC; null if that is not in the kernel, and then no device has a pin.</param>
/// <param name="routes">KVM's routes.</param>
/// <param name="complain">Takes a device's address and what does not work, in words.</param>
/// <param name="deferred">Called when a mask waits for <see cref="AssignedDevice.Settle"/>.</param>
internal sealed class DeviceAssembly(
    IMemorySlots slots, MemorySlotNumbers numbers, IIrqfds irqfds, ILevelIrqfds? level, GsiRoutes routes, Action<string, string> complain, Action deferred)
{
    /// <summary>Makes one function. The device then belongs to it; on failure it stays the caller's.</summary>
    /// <param name="opened">The device.</param>
    /// <param name="slot">Its slot on the guest's bus.</param>
    /// <param name="peers">Where other devices find its memory; null for nowhere.</param>
    /// <exception cref="VmmProblemException">device-bar-unsupported, device-needs-intx.</exception>
    public AssignedDevice Assemble(OpenedDevice opened, int slot, IPeerMemory? peers)
    {
        var (config, device, capture) = (opened.Config, opened.Device, opened.Capture);
        var address = config.Address;
        void Complain(string text) => complain(address, text);

        MsixVectors? msix = null;
        MsixTable? table = null;
        // A device whose MSI-X the kernel does not serve keeps the capability: nothing can be unmasked then, and the guest sees nothing fire.
        if (capture.MsixLocation is { } location)
        {
            msix = new MsixVectors(device, irqfds, routes, location.Count, Complain, deferred);
            table = new MsixTable(location.Count, msix);
        }
        var msi = capture.MsiLocation is { } msiAt ? new MsiVectors(device, irqfds, routes, msiAt.Count, Complain) : null;
        var intx = Pin(opened, slot, Complain);
        var bars = new List<AssignedBar>();
        try
        {
            foreach (var (description, request) in opened.Bars)
            {
                capture.PlaceBar(description, request.Address);
                var areas = description.IsIo || description.IsRom ? [] : BarAreas.Mappable(device.Bars[description.Index], OpenedDevice.Holes(capture, description.Index));
                bars.Add(new AssignedBar(device, description, areas, slots, numbers, peers));
            }
        }
        catch (LinuxException failure)
        {
            foreach (var bar in bars)
                bar.Dispose();
            throw OpenedDevice.Unsupported($"BAR {opened.Bars[bars.Count].Description.Index} of {address}: {failure.Message}.", opened.Field);
        }
        var interrupts = new DeviceInterrupts(capture.View, capture.MsixLocation?.Capability ?? 0, table, msix, capture.MsiLocation, msi, intx);
        return new AssignedDevice(address, device, capture, interrupts, table, new BarSet(device, capture.View, bars));
    }

    private IntxLine? Pin(OpenedDevice opened, int slot, Action<string> complain)
    {
        var capture = opened.Capture;
        if (capture.Pin == 0 || opened.Device.InterruptCount(VfioInterrupt.Intx) == 0)
            return null;
        if (level is not null)
        {
            capture.ShowPin();
            return new IntxLine(opened.Device, level, PciPins.Gsi(slot, capture.Pin), complain);
        }
        if (capture.MsixLocation is null && capture.MsiLocation is null)
        {
            throw new VmmProblemException("device-needs-intx", "The device has no interrupts that this VM can serve.",
                $"{opened.Config.Address} has INTx alone, and the VM has a split irqchip, in which KVM cannot tell when the guest ends a level-triggered interrupt.",
                "Launch the VM with the full irqchip in the kernel (splitIrqchip: false).", opened.Field);
        }
        return null;
    }
}
