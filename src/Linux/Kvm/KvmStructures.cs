using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Exitless.Linux.Kvm;

/// <summary>struct kvm_regs.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct KvmRegisters
{
    public ulong Rax, Rbx, Rcx, Rdx, Rsi, Rdi, Rsp, Rbp;
    public ulong R8, R9, R10, R11, R12, R13, R14, R15;
    public ulong Rip, Rflags;
}

/// <summary>struct kvm_segment.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct KvmSegment
{
    public ulong Base;
    public uint Limit;
    public ushort Selector;
    public byte Type, Present, Dpl, Db, S, L, G, Avl, Unusable;
    private readonly byte _padding;
}

/// <summary>struct kvm_dtable.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct KvmDescriptorTable
{
    public ulong Base;
    public ushort Limit;
    private readonly ushort _padding0, _padding1, _padding2;
}

/// <summary>struct kvm_sregs.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct KvmSpecialRegisters
{
    public KvmSegment Cs, Ds, Es, Fs, Gs, Ss, Tr, Ldt;
    public KvmDescriptorTable Gdt, Idt;
    public ulong Cr0, Cr2, Cr3, Cr4, Cr8, Efer, ApicBase;
    private readonly ulong _pending0, _pending1, _pending2, _pending3;
}

/// <summary>struct kvm_userspace_memory_region.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct KvmMemoryRegion
{
    public const uint ReadOnly = 2;

    public uint Slot;
    public uint Flags;
    public ulong GuestAddress;
    public ulong Size;
    public ulong HostAddress;
}

/// <summary>struct kvm_cpuid_entry2.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct KvmCpuidEntry
{
    /// <summary>KVM_CPUID_FLAG_SIGNIFCANT_INDEX.</summary>
    public const uint IndexMatters = 1;

    public uint Function, Index, Flags, Eax, Ebx, Ecx, Edx;
    private readonly uint _padding0, _padding1, _padding2;
}

/// <summary>struct kvm_msr_entry.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct KvmMsrEntry
{
    public uint Index;
    private readonly uint _reserved;
    public ulong Value;
}

/// <summary>struct kvm_irqfd.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct KvmIrqfd
{
    public const uint Deassign = 1, Resample = 2;

    public uint Descriptor;
    public uint Gsi;
    public uint Flags;
    public uint ResampleDescriptor;
    private readonly ulong _padding0, _padding1;
}

/// <summary>struct kvm_ioeventfd.</summary>
[StructLayout(LayoutKind.Sequential, Size = 64)]
internal struct KvmIoEventFd
{
    public const uint Deassign = 4;

    public ulong Match;
    public ulong Address;
    /// <summary>0: a write of any size, for which KVM need not look at the instruction.</summary>
    public uint Length;
    public int Descriptor;
    public uint Flags;
}

/// <summary>struct kvm_irq_routing_entry. The last four fields are a union: an irqchip's pin, or a message.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct KvmRoutingEntry
{
    public const uint Irqchip = 1, Msi = 2;
    public const uint IoApic = 2;

    public uint Gsi;
    public uint Type;
    public uint Flags;
    private readonly uint _padding;
    /// <summary>The message's address, low half; or which irqchip.</summary>
    public uint AddressLow;
    /// <summary>The message's address, high half; or the irqchip's pin.</summary>
    public uint AddressHigh;
    public uint Data;
    public uint DeviceId;
    private readonly ulong _padding0, _padding1;
}

/// <summary>struct kvm_create_device.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct KvmCreateDevice
{
    public const uint Vfio = 4;

    public uint Type;
    public int Descriptor;
    public uint Flags;
}

/// <summary>struct kvm_device_attr.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct KvmDeviceAttribute
{
    /// <summary>KVM_DEV_VFIO_FILE, once called GROUP.</summary>
    public const uint VfioFile = 1;
    public const ulong VfioFileAdd = 1, VfioFileRemove = 2;

    public uint Flags;
    public uint Group;
    public ulong Attribute;
    public ulong Address;
}

/// <summary>struct kvm_enable_cap.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct KvmEnableCapability
{
    public uint Capability;
    public uint Flags;
    public ulong Argument0, Argument1, Argument2, Argument3;
    private Padding _padding;

    [InlineArray(8)]
    private struct Padding
    {
        private ulong _first;
    }
}
