using System.Buffers.Binary;
using Exitless.Vmm.Memory;

namespace Exitless.Vmm.Boot;

/// <summary>The boot parameters of a PVH guest (struct hvm_start_info, xen/include/public/arch-x86/hvm/start_info.h), in the page where a bzImage has its zero page.</summary>
internal static class PvhStartInfo
{
    public const int Bytes = 4096;

    private const uint Magic = 0x336ec578, Version = 1;
    private const int Modules = 0x40, MemoryTable = 0x80;

    /// <summary>Fills the page.</summary>
    /// <param name="page">4 KiB.</param>
    /// <param name="plan">Where things are.</param>
    /// <param name="ram">The guest's RAM.</param>
    public static void Fill(Span<byte> page, BootPlan plan, IReadOnlyList<RamRange> ram)
    {
        page.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(page, Magic);
        BinaryPrimitives.WriteUInt32LittleEndian(page[4..], Version);
        if (plan.InitrdBytes > 0)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(page[12..], 1);
            BinaryPrimitives.WriteUInt64LittleEndian(page[16..], MemoryMap.ZeroPage + Modules);
            BinaryPrimitives.WriteUInt64LittleEndian(page[Modules..], plan.InitrdAddress);
            BinaryPrimitives.WriteUInt64LittleEndian(page[(Modules + 8)..], plan.InitrdBytes);
        }
        BinaryPrimitives.WriteUInt64LittleEndian(page[24..], MemoryMap.CommandLine);
        BinaryPrimitives.WriteUInt64LittleEndian(page[32..], MemoryMap.AcpiTables);
        BinaryPrimitives.WriteUInt64LittleEndian(page[40..], MemoryMap.ZeroPage + MemoryTable);
        var entries = 0;
        foreach (var (start, end, kind) in BootMemoryMap.Of(ram))
        {
            var entry = page[(MemoryTable + (entries++ * 24))..];
            BinaryPrimitives.WriteUInt64LittleEndian(entry, start);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[8..], end - start);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[16..], kind);
        }
        BinaryPrimitives.WriteInt32LittleEndian(page[48..], entries);
    }
}
