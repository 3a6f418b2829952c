using Exitless.Linux;
using Exitless.Linux.Kvm;
using Exitless.Vmm.Interrupts;
using Exitless.Vmm.Memory;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Kvm;

/// <summary>One VM of KVM. Its ioctls work in the process that made it only.</summary>
internal sealed class KvmVm(SafeFileHandle handle, int vcpuPageBytes) : IIrqfds, ILevelIrqfds, IIoEventFds, IGsiTable, IMemorySlots, IDisposable
{
    private const ulong Use32BitIds = 1, DisableBroadcastQuirk = 2;

    public void SetTssAddress(ulong address) => Ioctl.Call(handle, KvmRequests.SetTssAddress, "KVM_SET_TSS_ADDR", (nint)address);

    public void SetIdentityMapAddress(ulong address) => Ioctl.Call(handle, KvmRequests.SetIdentityMapAddress, "KVM_SET_IDENTITY_MAP_ADDR", ref address);

    /// <summary>PIC, IOAPIC and local APICs in the kernel; no PIT, whose re-injection keeps AVIC off.</summary>
    public void CreateIrqchip() => Ioctl.Call(handle, KvmRequests.CreateIrqchip, "KVM_CREATE_IRQCHIP");

    /// <summary>Local APICs in the kernel alone; the first GSIs are the pins of an IOAPIC elsewhere (KVM_CAP_SPLIT_IRQCHIP).</summary>
    public void SplitIrqchip(int pins)
    {
        var request = new KvmEnableCapability { Capability = KvmCapabilities.SplitIrqchip, Argument0 = (ulong)pins };
        Ioctl.Call(handle, KvmRequests.EnableCapability, "KVM_ENABLE_CAP SPLIT_IRQCHIP", ref request);
    }

    /// <summary>The state of one of the irqchip's parts: 0 and 1 the PICs, 2 the IOAPIC.</summary>
    public byte[] GetIrqchip(int chip)
    {
        var state = new byte[520];
        System.Buffers.Binary.BinaryPrimitives.WriteInt32LittleEndian(state, chip);
        Ioctl.Call(handle, KvmRequests.GetIrqchip, "KVM_GET_IRQCHIP", state);
        return state;
    }

    /// <summary>Puts back what <see cref="GetIrqchip"/> gave.</summary>
    public void SetIrqchip(byte[] state) => Ioctl.Call(handle, KvmRequests.SetIrqchip, "KVM_SET_IRQCHIP", state);

    /// <summary>Lets MSI messages address local APICs by 32-bit ids.</summary>
    public void UseX2ApicIds()
    {
        var request = new KvmEnableCapability { Capability = KvmCapabilities.X2ApicApi, Argument0 = Use32BitIds | DisableBroadcastQuirk };
        Ioctl.Call(handle, KvmRequests.EnableCapability, "KVM_ENABLE_CAP X2APIC_API", ref request);
    }

    /// <summary>KVM_CAP_X86_DISABLE_EXITS: instructions that idle CPUs use stay in the guest.</summary>
    public void DisableExits(ulong which)
    {
        var request = new KvmEnableCapability { Capability = KvmCapabilities.DisableExits, Argument0 = which };
        Ioctl.Call(handle, KvmRequests.EnableCapability, "KVM_ENABLE_CAP X86_DISABLE_EXITS", ref request);
    }

    /// <summary>ELI's capability (src/Eli/kernel/eli.h): direct interrupts on, suspended with 0, with the shadows' pages in a read-only memory slot.</summary>
    public void UseDirectInterrupts(ulong parts, ulong shadows, ulong pages)
    {
        var request = new KvmEnableCapability { Capability = KvmCapabilities.DirectInterrupts, Argument0 = parts, Argument1 = shadows, Argument2 = pages };
        Ioctl.Call(handle, KvmRequests.EnableCapability, "KVM_ENABLE_CAP X86_ELI", ref request);
    }

    /// <summary>Memory that the guest can read only; what it writes there comes as an exit.</summary>
    public void AddReadOnlyMemory(uint slot, ulong guestAddress, ulong size, ulong hostAddress)
    {
        var region = new KvmMemoryRegion { Slot = slot, Flags = KvmMemoryRegion.ReadOnly, GuestAddress = guestAddress, Size = size, HostAddress = hostAddress };
        Ioctl.Call(handle, KvmRequests.SetUserMemoryRegion, $"KVM_SET_USER_MEMORY_REGION 0x{guestAddress:x}", ref region);
    }

    public void AddMemory(uint slot, ulong guestAddress, ulong size, ulong hostAddress)
    {
        if (!TryAddMemory(slot, guestAddress, size, hostAddress))
            throw new LinuxException($"KVM_SET_USER_MEMORY_REGION 0x{guestAddress:x}", Ioctl.LastError);
    }

    public bool TryAddMemory(uint slot, ulong guestAddress, ulong size, ulong hostAddress)
    {
        var region = new KvmMemoryRegion { Slot = slot, GuestAddress = guestAddress, Size = size, HostAddress = hostAddress };
        return Ioctl.Try(handle, KvmRequests.SetUserMemoryRegion, ref region) >= 0;
    }

    public void RemoveMemory(uint slot) => TryAddMemory(slot, 0, 0, 0);

    public bool TrySetRoutes(Span<byte> table) => Ioctl.Try(handle, KvmRequests.SetGsiRouting, table) >= 0;

    public bool TryAssignIrqfd(EventFd trigger, int gsi) => TryIrqfd(trigger, gsi, 0);

    public bool TryAssignLevelIrqfd(EventFd trigger, EventFd resample, int gsi) => TryIrqfd(trigger, gsi, KvmIrqfd.Resample, resample);

    public bool TryDeassignIrqfd(EventFd trigger, int gsi) => TryIrqfd(trigger, gsi, KvmIrqfd.Deassign);

    public bool TryAssignIoEventFd(EventFd notice, ulong address) => TryIoEventFd(notice, address, 0);

    public void DeassignIoEventFd(EventFd notice, ulong address) => TryIoEventFd(notice, address, KvmIoEventFd.Deassign);

    public KvmVcpu CreateVcpu(int id) => new(new SafeFileHandle(Ioctl.Call(handle, KvmRequests.CreateVcpu, $"KVM_CREATE_VCPU {id}", id), ownsHandle: true), vcpuPageBytes);

    public SafeFileHandle OpenStatistics() => new(Ioctl.Call(handle, KvmRequests.GetStatisticsFd, "KVM_GET_STATS_FD"), ownsHandle: true);

    /// <summary>KVM's VFIO device: tells KVM of the groups whose devices the guest owns, which decides about memory types and no-snoop DMA.</summary>
    public SafeFileHandle CreateVfioDevice()
    {
        var request = new KvmCreateDevice { Type = KvmCreateDevice.Vfio };
        Ioctl.Call(handle, KvmRequests.CreateDevice, "KVM_CREATE_DEVICE VFIO", ref request);
        return new SafeFileHandle(request.Descriptor, ownsHandle: true);
    }

    public void Dispose() => handle.Dispose();

    private bool TryIoEventFd(EventFd notice, ulong address, uint flags)
    {
        var request = new KvmIoEventFd { Address = address, Descriptor = (int)notice.Handle.DangerousGetHandle(), Flags = flags };
        return Ioctl.Try(handle, KvmRequests.IoEventFd, ref request) >= 0;
    }

    private bool TryIrqfd(EventFd trigger, int gsi, uint flags, EventFd? resample = null)
    {
        var request = new KvmIrqfd
        {
            Descriptor = (uint)trigger.Handle.DangerousGetHandle(),
            Gsi = (uint)gsi,
            Flags = flags,
            ResampleDescriptor = resample is null ? 0 : (uint)resample.Handle.DangerousGetHandle(),
        };
        return Ioctl.Try(handle, KvmRequests.Irqfd, ref request) >= 0;
    }
}
