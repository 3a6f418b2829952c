using Exitless.Linux.Kvm;
using Exitless.Vmm.Kvm;

namespace Exitless.Vmm.Boot;

/// <summary>The processor state in which a PVH guest is entered: 32-bit flat segments, no paging, EBX at the start info (Xen's docs/misc/pvh.pandoc).</summary>
internal static class ProtectedMode
{
    private const ulong ProtectionEnabled = 1, ExtensionType = 0x10;

    public static void Enter(KvmVcpu vcpu, uint entry, ulong startInfo)
    {
        var special = vcpu.GetSpecialRegisters();
        var data = new KvmSegment { Selector = 0x18, Type = 3, Limit = uint.MaxValue, Present = 1, S = 1, G = 1, Db = 1 };
        special.Cs = data with { Selector = 0x10, Type = 11 };
        special.Ds = special.Es = special.Fs = special.Gs = special.Ss = data;
        special.Tr = new KvmSegment { Type = 11, Present = 1, Limit = 0x67 };
        special.Gdt = special.Idt = default;
        special.Cr0 = ProtectionEnabled | ExtensionType;
        special.Cr3 = special.Cr4 = special.Efer = 0;
        vcpu.SetSpecialRegisters(special);
        vcpu.SetRegisters(new KvmRegisters { Rip = entry, Rbx = startInfo, Rflags = 2 });
    }
}
