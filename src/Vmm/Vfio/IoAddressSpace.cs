using System.Runtime.InteropServices;
using Exitless.Linux;
using Exitless.Linux.Vfio;
using Exitless.Vmm.Control;
using Exitless.Vmm.Memory;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Vfio;

/// <summary>An address space of iommufd's (IOAS, Documentation/userspace-api/iommufd.rst): the guest's physical memory for all devices that are attached to it.</summary>
internal sealed class IoAddressSpace : IDisposable
{
    private const int RoomForRanges = 64;
    private readonly IVfioCalls _calls;
    private readonly SafeFileHandle _iommufd;
    private readonly uint _id;

    /// <summary>Makes an empty one. Takes over the descriptor, unless it throws.</summary>
    /// <param name="calls">The kernel.</param>
    /// <param name="iommufd">/dev/iommu, freshly opened.</param>
    /// <exception cref="VmmProblemException">no-iommufd.</exception>
    public IoAddressSpace(IVfioCalls calls, SafeFileHandle iommufd)
    {
        (_calls, _iommufd) = (calls, iommufd);
        var request = new IommuIoasAllocate { Size = (uint)Marshal.SizeOf<IommuIoasAllocate>() };
        if (calls.Try(iommufd, IommufdRequests.IoasAllocate, ref request) < 0)
        {
            throw new VmmProblemException("no-iommufd", "This host's iommufd makes no address space.",
                $"{new LinuxException("IOMMU_IOAS_ALLOC", Ioctl.LastError).Message}.", "Load the module iommufd, or assign devices by their groups (--vfio groups).", "devices");
        }
        _id = request.IoasId;
    }

    /// <summary>What can be translated for all devices that are attached.</summary>
    public IovaRanges Ranges { get; private set; } = new([]);

    /// <summary>True if this is its own descriptor.</summary>
    public bool Owns(SafeFileHandle iommufd) => iommufd == _iommufd;

    /// <summary>Opens a device for this process: before it, its file answers to nothing else. The kernel resets the device. May be called on several threads at once.</summary>
    /// <param name="address">The device's address on the host.</param>
    /// <param name="device">Its file, of which KVM knows already, if it is to know at all.</param>
    /// <exception cref="VmmProblemException">device-in-use, interrupt-remapping-off, device-not-bound.</exception>
    public void Bind(string address, SafeFileHandle device)
    {
        var request = new VfioDeviceBindIommufd { ArgumentSize = (uint)Marshal.SizeOf<VfioDeviceBindIommufd>(), Iommufd = (int)_iommufd.DangerousGetHandle() };
        if (_calls.Try(device, VfioRequests.DeviceBindIommufd, ref request) >= 0)
            return;
        var error = Ioctl.LastError;
        var detail = $"{address}: {new LinuxException("VFIO_DEVICE_BIND_IOMMUFD", error).Message}.";
        throw error switch
        {
            Errno.Busy => new VmmProblemException("device-in-use", "The device is in use.", $"{detail} Another process has it or its group open, or a driver of the host has another device of its group.",
                "Stop the VM that owns it, and give all devices of its group to vfio-pci.", "devices"),
            Errno.NotPermitted => new VmmProblemException("interrupt-remapping-off", "The host does not remap interrupts.", $"{detail} Without interrupt remapping a device could send interrupts to anybody.",
                "Switch interrupt remapping on in the firmware and boot without intremap=off. Exitless never uses allow_unsafe_interrupts.", "devices"),
            _ => new VmmProblemException("device-not-bound", "The device cannot be opened.", detail, "Bind it to vfio-pci and look at the host's kernel log.", "devices"),
        };
    }

    /// <summary>Gives a bound device this address space, with all that is mapped. What can be translated may shrink by it: see <see cref="ReadRanges"/>.</summary>
    /// <exception cref="VmmProblemException">iova-out-of-range: the device reserves addresses at which guest memory is mapped; attach-failed.</exception>
    public void Attach(string address, SafeFileHandle device)
    {
        var request = new VfioDeviceAttachIommufdPageTable { ArgumentSize = (uint)Marshal.SizeOf<VfioDeviceAttachIommufdPageTable>(), PageTableId = _id };
        if (_calls.Try(device, VfioRequests.DeviceAttachIommufdPageTable, ref request) >= 0)
            return;
        var error = Ioctl.LastError;
        var detail = $"{address}: {new LinuxException("VFIO_DEVICE_ATTACH_IOMMUFD_PT", error).Message}.";
        throw error == Errno.AddressInUse
            ? new VmmProblemException("iova-out-of-range", "The host's IOMMU cannot translate all of the guest's addresses.", $"{detail} The device reserves addresses at which the guest's memory is mapped already.",
                "Assign the device at the VM's launch, or choose another one.", "devices")
            : new VmmProblemException("attach-failed", "The device cannot have the guest's memory.", detail, "Look up the failed call in the host's kernel log.", "devices");
    }

    /// <summary>Reads again what can be translated: it depends on the devices that are attached.</summary>
    /// <exception cref="LinuxException">The kernel refused.</exception>
    public void ReadRanges()
    {
        // The kernel writes to where the argument points: the array must not move.
        for (var room = RoomForRanges; ;)
        {
            var pairs = GC.AllocateArray<ulong>(2 * room, pinned: true);
            var request = new IommuIoasIovaRanges
            {
                Size = (uint)Marshal.SizeOf<IommuIoasIovaRanges>(),
                IoasId = _id,
                Count = (uint)room,
                Array = (ulong)Marshal.UnsafeAddrOfPinnedArrayElement(pairs, 0),
            };
            if (_calls.Try(_iommufd, IommufdRequests.IoasIovaRanges, ref request) >= 0)
            {
                Ranges = new IovaRanges([.. Enumerable.Range(0, (int)Math.Min(request.Count, (uint)room)).Select(i => (pairs[2 * i], pairs[(2 * i) + 1]))]);
                return;
            }
            var error = Ioctl.LastError;
            if (error != Errno.MessageSize || request.Count <= room || request.Count > 1 << 16)
                throw new LinuxException("IOMMU_IOAS_IOVA_RANGES", error);
            room = (int)request.Count;
        }
    }

    /// <summary>Lets the devices reach guest RAM, and pins it.</summary>
    public void Map(IReadOnlyList<RamRange> ram) => LockedMemory.Pin(ram, "IOMMU_IOAS_MAP", TryMap);

    /// <summary>Maps a stretch of this process's memory for the devices. Allocates nothing.</summary>
    /// <returns>False if the kernel refuses; it does so for every BAR, whose pages are not memory.</returns>
    public bool TryMap(ulong iova, ulong size, ulong hostAddress)
    {
        var request = new IommuIoasMap
        {
            Size = (uint)Marshal.SizeOf<IommuIoasMap>(),
            Flags = IommufdRequests.MapFixedIova | IommufdRequests.MapReadable | IommufdRequests.MapWritable,
            IoasId = _id,
            HostAddress = hostAddress,
            Length = size,
            Iova = iova,
        };
        return _calls.Try(_iommufd, IommufdRequests.IoasMap, ref request) >= 0;
    }

    /// <summary>Takes a stretch away again, as it was mapped. Allocates nothing.</summary>
    public void Unmap(ulong iova, ulong size)
    {
        var request = new IommuIoasUnmap { Size = (uint)Marshal.SizeOf<IommuIoasUnmap>(), IoasId = _id, Iova = iova, Length = size };
        _ = _calls.Try(_iommufd, IommufdRequests.IoasUnmap, ref request);
    }

    /// <summary>Lets everything go: with the descriptor the kernel drops the address space and its mappings. The devices' files must be closed.</summary>
    public void Dispose() => _iommufd.Dispose();
}
