using System.Buffers.Binary;
using Exitless.Linux.Kvm;
using Exitless.Vmm.Kvm;
using Exitless.Vmm.Memory;

namespace Exitless.Vmm.Boot;

/// <summary>The processor state in which Linux's 64-bit entry expects to be called (Documentation/arch/x86/boot.rst, "64-bit boot protocol").</summary>
internal static class LongMode
{
    private const ushort CodeSelector = 0x10, DataSelector = 0x18;
    private const ulong ProtectedMode = 1, MonitorCoprocessor = 2, ExtensionType = 0x10, NumericError = 0x20, WriteProtect = 1 << 16, Paging = 1UL << 31;
    private const ulong PhysicalAddressExtension = 0x20;
    private const ulong LongModeEnable = 0x100, LongModeActive = 0x400;
    private const ulong Present = 1, Writable = 2, LargePage = 0x80;
    private const int Gibibytes = 4;

    /// <summary>Writes the GDT (flat code at 0x10, flat data at 0x18) and page tables that map the first 4 GiB to themselves.</summary>
    public static void WriteTables(GuestMemory memory)
    {
        var gdt = memory.Slice(MemoryMap.Gdt, 32);
        gdt.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(gdt[CodeSelector..], 0x00af9b000000ffff);
        BinaryPrimitives.WriteUInt64LittleEndian(gdt[DataSelector..], 0x00cf93000000ffff);

        const int page = 4096;
        var tables = memory.Slice(MemoryMap.PageTables, (2 + Gibibytes) * page);
        tables.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(tables, (MemoryMap.PageTables + page) | Present | Writable);
        for (var i = 0; i < Gibibytes; i++)
            BinaryPrimitives.WriteUInt64LittleEndian(tables[(page + (i * 8))..], (MemoryMap.PageTables + (ulong)((2 + i) * page)) | Present | Writable);
        for (var i = 0; i < Gibibytes * 512; i++)
            BinaryPrimitives.WriteUInt64LittleEndian(tables[((2 * page) + (i * 8))..], ((ulong)i << 21) | Present | Writable | LargePage);
    }

    /// <summary>Points the boot vCPU at the kernel's entry, with the zero page in RSI.</summary>
    public static void Enter(KvmVcpu vcpu, ulong entry)
    {
        var special = vcpu.GetSpecialRegisters();
        var data = Segment(DataSelector, type: 3, longMode: false);
        special.Cs = Segment(CodeSelector, type: 11, longMode: true);
        special.Ds = special.Es = special.Fs = special.Gs = special.Ss = data;
        special.Tr = new KvmSegment { Type = 11, Present = 1, Limit = 0xffff };
        special.Gdt = new KvmDescriptorTable { Base = MemoryMap.Gdt, Limit = 31 };
        special.Idt = default;
        special.Cr3 = MemoryMap.PageTables;
        special.Cr4 = PhysicalAddressExtension;
        special.Efer = LongModeEnable | LongModeActive;
        special.Cr0 = ProtectedMode | MonitorCoprocessor | ExtensionType | NumericError | WriteProtect | Paging;
        vcpu.SetSpecialRegisters(special);
        vcpu.SetRegisters(new KvmRegisters { Rip = entry, Rsi = MemoryMap.ZeroPage, Rsp = MemoryMap.ZeroPage, Rflags = 2 });
    }

    private static KvmSegment Segment(ushort selector, byte type, bool longMode) => new()
    {
        Selector = selector,
        Type = type,
        Limit = uint.MaxValue,
        Present = 1,
        S = 1,
        G = 1,
        L = (byte)(longMode ? 1 : 0),
        Db = (byte)(longMode ? 0 : 1),
    };
}
