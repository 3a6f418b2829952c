using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Exitless.Linux;
using Exitless.Linux.Vfio;
using Exitless.Vmm.Control;
using Exitless.Vmm.Memory;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Vfio;

/// <summary>A VFIO container: one IOMMU address space, which is the guest's physical memory, for all groups in it.</summary>
internal sealed class VfioContainer : IDisposable
{
    private const int InfoRoom = 4096;
    // Kept: whoever watches a VM's resources asks each second, and nothing is to be collected for that.
    private byte[] _info = new byte[InfoRoom];
    private readonly IVfioCalls _calls;
    private readonly SafeFileHandle _handle;
    private readonly List<SafeFileHandle> _groups = [];

    /// <summary>Puts groups into a fresh container. Takes over the descriptors.</summary>
    /// <param name="calls">VFIO.</param>
    /// <param name="container">/dev/vfio/vfio, freshly opened.</param>
    /// <param name="groups">Each group's number and descriptor.</param>
    /// <exception cref="VmmProblemException">vfio-api-version, vfio-no-type1v2, no-vfio, group-not-viable, group-in-use, interrupt-remapping-off.</exception>
    public VfioContainer(IVfioCalls calls, SafeFileHandle container, IReadOnlyList<(int Number, SafeFileHandle Handle)> groups)
    {
        _calls = calls;
        _handle = container;
        var version = calls.Try(container, VfioRequests.GetApiVersion);
        if (version != 0)
            throw NoVfio("vfio-api-version", version < 0 ? $"The descriptor passed as /dev/vfio/vfio is not VFIO's: {new LinuxException("VFIO_GET_API_VERSION", Ioctl.LastError).Message}." : $"VFIO speaks API version {version} instead of 0.");
        if (calls.Try(container, VfioRequests.CheckExtension, VfioRequests.Type1V2) <= 0)
            throw NoVfio("vfio-no-type1v2", "VFIO has no type 1 IOMMU (VFIO_TYPE1v2_IOMMU).");
        foreach (var (number, group) in groups)
            Enter(number, group);
        if (calls.Try(container, VfioRequests.SetIommu, VfioRequests.Type1V2) < 0)
        {
            var error = Ioctl.LastError;
            throw error == Errno.NotPermitted
                ? new VmmProblemException("interrupt-remapping-off", "The host does not remap interrupts.",
                    "VFIO refuses the IOMMU (errno 1): without interrupt remapping a device could send interrupts to anybody.",
                    "Switch interrupt remapping on in the firmware and boot without intremap=off. Exitless never uses allow_unsafe_interrupts.", "devices")
                : NoVfio("no-vfio", $"{new LinuxException("VFIO_SET_IOMMU", error).Message}.");
        }
        ReadInfo();
    }

    /// <summary>What the IOMMU can translate for these groups.</summary>
    public IovaRanges Ranges { get; private set; } = new([]);

    /// <summary>How many mappings the kernel would still take (dma_entry_limit); null if it does not tell.</summary>
    public long? MappingsLeft
    {
        get
        {
            ReadInfo();
            return field;
        }
        private set;
    }

    /// <summary>True if this is the container's own descriptor.</summary>
    public bool Owns(SafeFileHandle container) => container == _handle;

    /// <summary>Takes one more group in, with all that is mapped. Takes over the descriptor, unless it throws.</summary>
    public void Join(int number, SafeFileHandle group)
    {
        Enter(number, group);
        ReadInfo();
    }

    /// <summary>Lets a group go whose devices are closed, and closes its descriptor. With the last one the kernel drops all mappings.</summary>
    public void Leave(SafeFileHandle group)
    {
        _ = _calls.Try(group, VfioRequests.GroupUnsetContainer);
        _groups.Remove(group);
        group.Dispose();
    }

    /// <summary>Lets the devices reach guest RAM, and pins it.</summary>
    public void Map(IReadOnlyList<RamRange> ram) => LockedMemory.Pin(ram, "VFIO_IOMMU_MAP_DMA", TryMap);

    /// <summary>Maps a stretch of this process's memory for the devices. Allocates nothing.</summary>
    public bool TryMap(ulong iova, ulong size, ulong hostAddress)
    {
        var request = new VfioDmaMap
        {
            ArgumentSize = (uint)Marshal.SizeOf<VfioDmaMap>(),
            Flags = VfioRequests.MapRead | VfioRequests.MapWrite,
            HostAddress = hostAddress,
            Iova = iova,
            Size = size,
        };
        return _calls.Try(_handle, VfioRequests.IommuMapDma, ref request) >= 0;
    }

    /// <summary>Takes a stretch away again, as it was mapped. Allocates nothing.</summary>
    public void Unmap(ulong iova, ulong size)
    {
        var request = new VfioDmaUnmap { ArgumentSize = (uint)Marshal.SizeOf<VfioDmaUnmap>(), Iova = iova, Size = size };
        _ = _calls.Try(_handle, VfioRequests.IommuUnmapDma, ref request);
    }

    public void Dispose()
    {
        foreach (var group in _groups)
            group.Dispose();
        _handle.Dispose();
    }

    private void Enter(int number, SafeFileHandle group)
    {
        var status = new VfioGroupStatus { ArgumentSize = (uint)Marshal.SizeOf<VfioGroupStatus>() };
        if (_calls.Try(group, VfioRequests.GroupGetStatus, ref status) < 0)
            throw NoVfio("no-vfio", $"The descriptor passed as /dev/vfio/{number} is not a group's: {new LinuxException("VFIO_GROUP_GET_STATUS", Ioctl.LastError).Message}.");
        CheckViable(number, status.Flags);
        var container = (int)_handle.DangerousGetHandle();
        if (_calls.Try(group, VfioRequests.GroupSetContainer, ref container) < 0)
        {
            throw new VmmProblemException("group-in-use", "The IOMMU group is in use.",
                $"Group {number} cannot join the VM's container: {new LinuxException("VFIO_GROUP_SET_CONTAINER", Ioctl.LastError).Message}.", "Stop the VM that owns a device of this group.", "devices");
        }
        _groups.Add(group);
    }

    /// <summary>The bit, not the whole word: a group that is in a container already has another bit set.</summary>
    internal static void CheckViable(int number, uint flags)
    {
        if ((flags & VfioRequests.GroupViable) == 0)
        {
            throw new VmmProblemException("group-not-viable", "The IOMMU group cannot be assigned as a whole.",
                $"Another device of group {number} is bound to a driver of the host.", $"Unbind the other devices in /sys/kernel/iommu_groups/{number}/devices, or choose a device with a group of its own.", "devices");
        }
    }

    private void ReadInfo()
    {
        var buffer = _info;
        buffer.AsSpan().Clear();
        ref var info = ref MemoryMarshal.AsRef<VfioIommuInfo>(buffer.AsSpan());
        info.ArgumentSize = (uint)buffer.Length;
        _calls.Call(_handle, VfioRequests.IommuGetInfo, "VFIO_IOMMU_GET_INFO", buffer);
        if (info.ArgumentSize > buffer.Length)
        {
            var bytes = info.ArgumentSize;
            _info = buffer = new byte[bytes];
            info = ref MemoryMarshal.AsRef<VfioIommuInfo>(buffer.AsSpan());
            info.ArgumentSize = bytes;
            _calls.Call(_handle, VfioRequests.IommuGetInfo, "VFIO_IOMMU_GET_INFO", buffer);
        }
        var first = (info.Flags & VfioRequests.IommuHasCapabilities) != 0 ? info.CapabilityOffset : 0;
        Ranges = new IovaRanges(VfioCapabilities.Pairs(VfioCapabilities.Find(buffer, first, VfioRequests.IovaRangeCapability)));
        var available = VfioCapabilities.Find(buffer, first, VfioRequests.DmaAvailableCapability);
        MappingsLeft = available.Length >= 12 ? BinaryPrimitives.ReadUInt32LittleEndian(available[8..]) : null;
    }

    private static VmmProblemException NoVfio(string code, string detail) => new(
        code, "This host cannot assign devices.", detail, "Switch the IOMMU on (firmware, and intel_iommu=on on Intel) and load vfio_iommu_type1 and vfio-pci.", "devices");
}
