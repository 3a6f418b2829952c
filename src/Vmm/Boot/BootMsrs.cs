using Exitless.Linux.Kvm;

namespace Exitless.Vmm.Boot;

/// <summary>The model-specific registers that firmware would have set.</summary>
internal static class BootMsrs
{
    public static KvmMsrEntry[] All =>
    [
        // SYSENTER_CS, ESP, EIP; STAR, LSTAR, CSTAR, FMASK, KERNEL_GS_BASE.
        Entry(0x174, 0), Entry(0x175, 0), Entry(0x176, 0), Entry(0xc0000081, 0), Entry(0xc0000082, 0), Entry(0xc0000083, 0), Entry(0xc0000084, 0), Entry(0xc0000102, 0),
        // MISC_ENABLE: fast strings.
        Entry(0x1a0, 1),
        // MTRR default type: enabled, write-back. With devices that snoop no caches, KVM on Intel goes by the guest's MTRRs.
        Entry(0x2ff, 0x806),
    ];

    private static KvmMsrEntry Entry(uint index, ulong value) => new() { Index = index, Value = value };
}
