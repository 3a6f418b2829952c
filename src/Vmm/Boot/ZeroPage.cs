using System.Buffers.Binary;
using Exitless.Vmm.Memory;

namespace Exitless.Vmm.Boot;

/// <summary>The kernel's boot parameters (struct boot_params, Documentation/arch/x86/zero-page.rst).</summary>
internal static class ZeroPage
{
    public const int Bytes = 4096;

    private const int AcpiRsdpAddress = 0x70, E820Count = 0x1e8, E820Table = 0x2d0;
    private const int LoaderType = 0x210, Code32Start = 0x214, InitrdAddress = 0x218, InitrdSize = 0x21c, CommandLinePointer = 0x228;
    private const byte UndefinedLoader = 0xff;

    /// <summary>Fills the zero page.</summary>
    /// <param name="page">4 KiB.</param>
    /// <param name="header">The kernel's own header, <see cref="BzImage.Header"/>.</param>
    /// <param name="plan">Where things are.</param>
    /// <param name="ram">The guest's RAM.</param>
    /// <param name="rsdp">Where the ACPI root pointer is.</param>
    public static void Fill(Span<byte> page, ReadOnlySpan<byte> header, BootPlan plan, IReadOnlyList<RamRange> ram, ulong rsdp)
    {
        page.Clear();
        header.CopyTo(page[BzImage.HeaderOffset..]);
        page[LoaderType] = UndefinedLoader;
        BinaryPrimitives.WriteUInt32LittleEndian(page[Code32Start..], (uint)plan.KernelAddress);
        BinaryPrimitives.WriteUInt32LittleEndian(page[InitrdAddress..], (uint)plan.InitrdAddress);
        BinaryPrimitives.WriteUInt32LittleEndian(page[InitrdSize..], (uint)plan.InitrdBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(page[CommandLinePointer..], (uint)MemoryMap.CommandLine);
        BinaryPrimitives.WriteUInt64LittleEndian(page[AcpiRsdpAddress..], rsdp);

        byte count = 0;
        foreach (var (start, end, kind) in BootMemoryMap.Of(ram))
        {
            var entry = page[(E820Table + (count++ * 20))..];
            BinaryPrimitives.WriteUInt64LittleEndian(entry, start);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[8..], end - start);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[16..], kind);
        }
        page[E820Count] = count;
    }
}
