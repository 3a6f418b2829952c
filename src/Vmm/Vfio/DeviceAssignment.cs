using Exitless.Linux;
using Exitless.Vmm.Control;
using Exitless.Vmm.Interrupts;
using Exitless.Vmm.Kvm;
using Exitless.Vmm.Memory;
using Exitless.Vmm.Pci;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Vfio;

/// <summary>Brings the assigned devices into a VM, step by step in the only order that works: container, memory, devices, addresses, interrupts.</summary>
internal sealed class DeviceAssignment
{
    private readonly VmConfig _config;
    private readonly VfioContainer _container;
    private readonly List<Opened> _opened = [];

    private DeviceAssignment(VmConfig config, VfioContainer container)
    {
        _config = config;
        _container = container;
    }

    /// <summary>How many MSI-X vectors all devices have.</summary>
    public int VectorCount => _opened.Sum(d => d.Capture.MsixLocation!.Count);

    /// <summary>The BARs' window above 4 GiB, if one is needed.</summary>
    public (ulong Start, ulong End)? Mmio64 { get; private set; }

    /// <summary>Opens container and devices, maps guest memory, and finds an address for every BAR.</summary>
    /// <param name="config">What to launch.</param>
    /// <param name="descriptors">The container's and the groups' descriptors, which go over to this.</param>
    /// <param name="vm">The VM.</param>
    /// <param name="memory">Guest RAM.</param>
    /// <param name="addressEnd">The first address that the guest's CPUs cannot name.</param>
    /// <param name="owned">Where what is made goes, to be released.</param>
    public static DeviceAssignment Open(VmConfig config, VmmDescriptors descriptors, KvmVm vm, GuestMemory memory, ulong addressEnd, DisposeStack owned)
    {
        var numbers = config.Devices.Select(d => d.IommuGroup).Distinct().ToList();
        var groups = numbers.Zip(descriptors.Groups).ToList();
        var container = owned.Push(new VfioContainer(VfioCalls.Kernel, descriptors.VfioContainer!, groups));
        foreach (var range in memory.Ranges)
            container.Ranges.Check("Guest memory", range.GuestAddress, range.Size, "memoryBytes");
        LockedMemory.Reserve((ulong)config.MemoryBytes);
        var kvmVfio = owned.Push(vm.CreateVfioDevice());
        foreach (var group in descriptors.Groups)
            KvmVm.AddVfioFile(kvmVfio, group);
        container.Map(memory.Ranges);

        var assignment = new DeviceAssignment(config, container);
        for (var i = 0; i < config.Devices.Count; i++)
            assignment._opened.Add(OpenDevice(config.Devices[i], $"devices[{i}]", descriptors.Groups[numbers.IndexOf(config.Devices[i].IommuGroup)], owned));
        assignment.Place(addressEnd);
        return assignment;
    }

    /// <summary>Puts the devices on the bus.</summary>
    public List<AssignedDevice> Attach(PciBus bus, KvmVm vm, GsiRoutes routes, uint nextSlot, DisposeStack owned)
    {
        var devices = new List<AssignedDevice>();
        foreach (var opened in _opened)
        {
            var device = Assemble(opened, vm, vm, routes, ref nextSlot, owned, VmmLog.Write);
            bus.Add(device);
            devices.Add(device);
        }
        return devices;
    }

    /// <summary>Makes a device's BARs and vectors, which are released in the reverse order: interrupts, then mappings, then (pushed before) the device.</summary>
    /// <exception cref="VmmProblemException">device-bar-unsupported.</exception>
    internal static AssignedDevice Assemble(Opened opened, IMemorySlots slots, IIrqfds irqfds, GsiRoutes routes, ref uint nextSlot, DisposeStack owned, Action<string> log)
    {
        var location = opened.Capture.MsixLocation!;
        var bars = new List<AssignedBar>();
        foreach (var (description, request) in opened.Bars)
        {
            opened.Capture.PlaceBar(description, request.Address);
            var areas = BarAreas.Mappable(opened.Device.Bars[description.Index], Holes(location, description.Index));
            try
            {
                bars.Add(owned.Push(new AssignedBar(opened.Device, description, request.Address, areas, slots, ref nextSlot)));
            }
            catch (LinuxException failure)
            {
                throw Unsupported($"BAR {description.Index} of {opened.Config.Address}: {failure.Message}.", request.Field);
            }
        }
        var vectors = owned.Push(new MsixVectors(opened.Device, irqfds, routes, location.Count, opened.Config.Address, log));
        return new AssignedDevice(opened.Config.Address, opened.Device, opened.Capture, vectors, bars);
    }

    private static Opened OpenDevice(VfioDeviceConfig config, string field, SafeFileHandle group, DisposeStack owned)
    {
        var device = owned.Push(new VfioDevice(VfioCalls.Kernel, group, config.Address, field));
        var bytes = new byte[Math.Min(device.Config.Size, ConfigSpace.Bytes)];
        device.Read(device.Config, 0, bytes);
        return Describe(config, field, device, new ConfigCapture(bytes));
    }

    /// <summary>Checks what this version can assign.</summary>
    /// <exception cref="VmmProblemException">device-no-msix, device-bar-unsupported.</exception>
    internal static Opened Describe(VfioDeviceConfig config, string field, IVfioDevice device, ConfigCapture capture)
    {
        if (capture.MsixLocation is not { } location || device.MsixCount == 0)
            throw new VmmProblemException("device-no-msix", "The device has no MSI-X.", $"{config.Address} offers no MSI-X vectors; Exitless delivers interrupts by MSI-X only.", "Choose another device.", field);
        var bars = capture.Bars([.. device.Bars.Select(b => b.Size)]);
        if (bars.Find(b => b.Size < 16 || (b.Size & (b.Size - 1)) != 0) is { } odd)
            throw Unsupported($"BAR {odd.Index} of {config.Address} has {odd.Size:#,0} bytes; a BAR has a power of two, 16 or more.", field);
        if (bars.Find(b => b is { Is64Bit: true, Index: 5 }) is not null)
            throw Unsupported($"BAR 5 of {config.Address} says that it is 64 bits wide; there is no BAR 6 for the upper half.", field);
        foreach (var (bar, end) in new[] { (location.TableBar, location.TableOffset + ((ulong)location.Count * MsixTable.EntryBytes)), (location.PendingBar, location.PendingOffset + (((ulong)location.Count + 63) / 64 * 8)) })
        {
            if (bars.Find(b => b.Index == bar) is not { } holder || end > holder.Size)
                throw Unsupported($"The MSI-X structures of {config.Address} reach 0x{end:x} in BAR {bar}, which is not there or is smaller.", field);
        }
        return new Opened(config, device, capture, [.. bars.Select(b => (b, new BarRequest(config.Address, b.Index, b.Size, b.Is64Bit, field)))]);
    }

    private static VmmProblemException Unsupported(string detail, string field) =>
        new("device-bar-unsupported", "The device's memory cannot be given to a VM.", detail, "Choose another device.", field);

    private static List<(ulong Offset, ulong Size)> Holes(MsixLocation location, int bar)
    {
        var holes = new List<(ulong, ulong)>();
        if (location.TableBar == bar)
            holes.Add((location.TableOffset, (ulong)location.Count * MsixTable.EntryBytes));
        if (location.PendingBar == bar)
            holes.Add((location.PendingOffset, ((ulong)location.Count + 63) / 64 * 8));
        return holes;
    }

    private void Place(ulong addressEnd)
    {
        var requests = _opened.SelectMany(d => d.Bars.Select(b => b.Request)).ToList();
        var reach = _container.Ranges.Last;
        Mmio64 = BarPlacement.Place(requests, (ulong)_config.MemoryBytes, reach == ulong.MaxValue ? addressEnd : Math.Min(addressEnd, reach + 1));
        foreach (var request in requests)
            _container.Ranges.Check($"BAR {request.Index} of {request.Device}", request.Address, request.Size, request.Field);
    }

    internal sealed record Opened(VfioDeviceConfig Config, IVfioDevice Device, ConfigCapture Capture, IReadOnlyList<(BarDescription Description, BarRequest Request)> Bars);
}
