using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Exitless.Linux;
using Exitless.Linux.Vfio;
using Exitless.Vmm.Control;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Vfio;

/// <summary>A PCI device taken out of its group (Documentation/driver-api/vfio.rst).</summary>
internal sealed class VfioDevice : IVfioDevice
{
    private const int InfoRoom = 4096;
    private const int Kinds = (int)VfioInterrupt.Request + 1;
    private readonly IVfioCalls _calls;
    private readonly SafeFileHandle _handle;
    private readonly int[] _interrupts = new int[Kinds];
    private readonly bool _canReset;

    /// <summary>Resets the device and asks what it has.</summary>
    /// <param name="calls">VFIO.</param>
    /// <param name="device">The device's file, which this owns from now on.</param>
    /// <param name="address">Its address on the host.</param>
    /// <param name="field">What the user may change.</param>
    /// <exception cref="VmmProblemException">device-not-pci, device-reset-failed.</exception>
    public VfioDevice(IVfioCalls calls, SafeFileHandle device, string address, string field)
    {
        _calls = calls;
        _handle = device;
        try
        {
            var info = new VfioDeviceInfo { ArgumentSize = (uint)Marshal.SizeOf<VfioDeviceInfo>() };
            calls.Call(_handle, VfioRequests.DeviceGetInfo, $"VFIO_DEVICE_GET_INFO {address}", ref info);
            if ((info.Flags & VfioRequests.DeviceIsPci) == 0)
                throw new VmmProblemException("device-not-pci", "The device is not a PCI device.", $"VFIO describes {address} with flags 0x{info.Flags:x}.", "Choose a PCI device.", field);
            _canReset = (info.Flags & VfioRequests.DeviceCanReset) != 0;
            if (_canReset && !TryReset())
            {
                throw new VmmProblemException("device-reset-failed", "The device could not be reset.",
                    $"{address}: {new LinuxException("VFIO_DEVICE_RESET", Ioctl.LastError).Message}. What its last owner left in it is unknown.",
                    "Look at the host's kernel log; reload the PF's driver or restart the host.", field);
            }
            Bars = [.. Enumerable.Range(0, VfioRequests.BarRegions).Select(i => i < info.Regions ? Region(i) : VfioRegion.None)];
            Rom = info.Regions > VfioRequests.RomRegion ? Region(VfioRequests.RomRegion) : VfioRegion.None;
            Config = Region(VfioRequests.ConfigRegion);
            for (var kind = 0; kind < Kinds && kind < info.Irqs; kind++)
            {
                var irq = new VfioIrqInfo { ArgumentSize = (uint)Marshal.SizeOf<VfioIrqInfo>(), Index = (uint)kind };
                if (calls.Try(_handle, VfioRequests.DeviceGetIrqInfo, ref irq) < 0)
                    continue;
                _interrupts[kind] = (int)irq.Count;
                if (kind == (int)VfioInterrupt.Msix)
                    MsixGrows = (irq.Flags & VfioRequests.IrqNoResize) == 0;
            }
        }
        catch
        {
            _handle.Dispose();
            throw;
        }
    }

    public IReadOnlyList<VfioRegion> Bars { get; }

    public VfioRegion Rom { get; }

    public VfioRegion Config { get; }

    public bool MsixGrows { get; }

    public int InterruptCount(VfioInterrupt kind) => _interrupts[(int)kind];

    /// <summary>Takes a device out of its group. The kernel resets it while it opens it.</summary>
    /// <exception cref="VmmProblemException">device-in-use, device-not-in-group; and those of the constructor.</exception>
    public static VfioDevice FromGroup(IVfioCalls calls, SafeFileHandle group, string address, string field)
    {
        var name = System.Text.Encoding.ASCII.GetBytes(address + '\0');
        var descriptor = calls.Try(group, VfioRequests.GroupGetDeviceFd, name);
        if (descriptor >= 0)
            return new VfioDevice(calls, new SafeFileHandle(descriptor, ownsHandle: true), address, field);
        var error = Ioctl.LastError;
        throw error == Errno.Busy
            ? new VmmProblemException("device-in-use", "The device is in use.", $"{address} is open in another process.", "Stop the VM that owns it.", field)
            : new VmmProblemException("device-not-in-group", "The device cannot be taken from its IOMMU group.",
                $"{address}: {new LinuxException("VFIO_GROUP_GET_DEVICE_FD", error).Message}.", "Bind it to vfio-pci and pass the group it is in.", field);
    }

    public void Read(VfioRegion region, ulong offset, Span<byte> data)
    {
        if (Files.TryReadAt(_handle, data, (long)(region.Offset + offset), out _) != data.Length)
            data.Fill(byte.MaxValue);
    }

    public void Write(VfioRegion region, ulong offset, ReadOnlySpan<byte> data) => Files.TryWriteAt(_handle, data, (long)(region.Offset + offset), out _);

    public int TrySetTriggers(VfioInterrupt kind, int first, ReadOnlySpan<EventFd?> triggers) => SetEventFds(kind, VfioRequests.IrqActionTrigger, first, triggers);

    public bool TrySetUnmask(EventFd unmask) => SetEventFds(VfioInterrupt.Intx, VfioRequests.IrqActionUnmask, 0, [unmask]) == 0;

    public void Disable(VfioInterrupt kind)
    {
        Span<byte> request = stackalloc byte[20];
        Header(request, VfioRequests.IrqDataNone | VfioRequests.IrqActionTrigger, kind, 0, 0);
        _ = _calls.Try(_handle, VfioRequests.DeviceSetIrqs, request);
    }

    public bool TryReset() => _canReset && _calls.Try(_handle, VfioRequests.DeviceReset) >= 0;

    public Mapping Map(VfioRegion region, ulong offset, ulong size) => Mapping.Share(_handle, (long)(region.Offset + offset), size);

    public void Dispose() => _handle.Dispose();

    private int SetEventFds(VfioInterrupt kind, uint action, int first, ReadOnlySpan<EventFd?> eventFds)
    {
        Span<byte> request = eventFds.Length <= 32 ? stackalloc byte[20 + (4 * eventFds.Length)] : new byte[20 + (4 * eventFds.Length)];
        Header(request, VfioRequests.IrqDataEventFd | action, kind, first, eventFds.Length);
        for (var i = 0; i < eventFds.Length; i++)
            BinaryPrimitives.WriteInt32LittleEndian(request[(20 + (4 * i))..], eventFds[i] is { } eventFd ? (int)eventFd.Handle.DangerousGetHandle() : -1);
        return _calls.Try(_handle, VfioRequests.DeviceSetIrqs, request);
    }

    private static void Header(Span<byte> request, uint flags, VfioInterrupt kind, int first, int count)
    {
        BinaryPrimitives.WriteInt32LittleEndian(request, request.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(request[4..], flags);
        BinaryPrimitives.WriteInt32LittleEndian(request[8..], (int)kind);
        BinaryPrimitives.WriteInt32LittleEndian(request[12..], first);
        BinaryPrimitives.WriteInt32LittleEndian(request[16..], count);
    }

    private VfioRegion Region(int index)
    {
        Span<byte> buffer = stackalloc byte[InfoRoom];
        buffer.Clear();
        ref var info = ref MemoryMarshal.AsRef<VfioRegionInfo>(buffer);
        info.ArgumentSize = InfoRoom;
        info.Index = (uint)index;
        if (_calls.Try(_handle, VfioRequests.DeviceGetRegionInfo, buffer) < 0)
            return VfioRegion.None;
        if (info.ArgumentSize > InfoRoom)
        {
            var bytes = info.ArgumentSize;
            buffer = new byte[bytes];
            info = ref MemoryMarshal.AsRef<VfioRegionInfo>(buffer);
            info.ArgumentSize = bytes;
            info.Index = (uint)index;
            _calls.Call(_handle, VfioRequests.DeviceGetRegionInfo, $"VFIO_DEVICE_GET_REGION_INFO {index}", buffer);
        }
        var first = (info.Flags & VfioRequests.RegionHasCapabilities) != 0 ? info.CapabilityOffset : 0;
        var sparse = VfioCapabilities.Find(buffer, first, VfioRequests.SparseMmapCapability);
        return new VfioRegion(info.Size, info.Offset, (info.Flags & VfioRequests.RegionMappable) != 0,
            !VfioCapabilities.Find(buffer, first, VfioRequests.MsixMappableCapability).IsEmpty, sparse.IsEmpty ? null : VfioCapabilities.Pairs(sparse));
    }
}
