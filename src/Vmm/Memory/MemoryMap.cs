namespace Exitless.Vmm.Memory;

/// <summary>The guest-physical addresses of everything, in bytes. docs/vmm.md draws the picture.</summary>
internal static class MemoryMap
{
    public const ulong Gdt = 0x500;
    public const ulong ZeroPage = 0x7000;
    public const ulong PageTables = 0x9000;
    public const ulong CommandLine = 0x20000;
    public const ulong LowRamEnd = 0x9fc00;
    /// <summary>The shadow interrupt tables of ELI, a page for each number that a vCPU can have, below <see cref="AcpiTables"/>; RAM where there are none.</summary>
    public const ulong Shadows = 0xa0000;
    public const ulong AcpiTables = 0xe0000;
    public const ulong AcpiTablesEnd = 0xf0000;
    /// <summary>F000:FFF0, where a processor begins and where a guest without other means jumps to reset the machine.</summary>
    public const ulong ResetVector = 0xffff0;
    public const ulong OneMebibyte = 0x100000;

    /// <summary>RAM below this address, PCI devices above; RAM that does not fit goes on at 4 GiB.</summary>
    public const ulong PciHole = 0xc000_0000;
    /// <summary>BARs that fit below 4 GiB.</summary>
    public const ulong Mmio32 = PciHole;
    public const ulong Mmio32End = 0xe000_0000;
    /// <summary>The BARs of the paravirtual devices, at the end of that window; assigned devices go before them.</summary>
    public const ulong VirtioBars = Mmio32End - 0x10_0000;
    /// <summary>PCI configuration space of bus 0 (PCI Express ECAM), 1 MiB.</summary>
    public const ulong Ecam = 0xe000_0000;
    public const ulong EcamSize = 0x10_0000;
    public const ulong IoApic = 0xfec0_0000;
    public const ulong LocalApic = 0xfee0_0000;
    /// <summary>One page and then three that KVM needs on Intel for real mode.</summary>
    public const ulong IdentityMap = 0xfffb_c000;
    public const ulong Tss = 0xfffb_d000;
    public const ulong FourGibibytes = 0x1_0000_0000;

    /// <summary>The window for BARs above RAM: from the next GiB to the end that both the guest's CPU and the host's IOMMU can address.</summary>
    public static ulong Mmio64Start(ulong memoryBytes)
    {
        const ulong gibibyte = 1UL << 30;
        var ramEnd = memoryBytes <= PciHole ? FourGibibytes : FourGibibytes + memoryBytes - PciHole;
        return (ramEnd + gibibyte - 1) & ~(gibibyte - 1);
    }
}
