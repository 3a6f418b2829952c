using System.Buffers.Binary;
using System.Text;
using Exitless.Vmm.Acpi;
using Exitless.Vmm.Control;
using Exitless.Vmm.Kvm;
using Exitless.Vmm.Memory;

namespace Exitless.Vmm.Tests.Acpi;

public sealed class AcpiTablesTests
{
    private static readonly (ulong Start, ulong End) Window = (0x1_0000_0000, 0x2_0000_0000);

    [Fact]
    public void The_rsdp_leads_to_every_table_and_all_sums_are_zero()
    {
        var image = new AcpiTables(CpuTopology.OneSocket(4), Window).Image;
        Assert.Equal("RSD PTR ", Encoding.ASCII.GetString(image, 0, 8));
        Assert.Equal(0, Sum(image.AsSpan(0, 20)));
        Assert.Equal(0, Sum(image.AsSpan(0, 36)));
        Assert.Equal((2, 36), (image[15], BinaryPrimitives.ReadInt32LittleEndian(image.AsSpan(20))));

        var xsdt = Table(image, U64(image, 24), "XSDT");
        Assert.Equal(36 + (3 * 8), xsdt.Length);
        var fadt = Table(image, U64(xsdt, 36), "FACP");
        Table(image, U64(xsdt, 44), "APIC");
        Table(image, U64(xsdt, 52), "MCFG");
        Table(image, U64(fadt, 140), "DSDT");
        Assert.Equal(U64(fadt, 140), BinaryPrimitives.ReadUInt32LittleEndian(fadt.AsSpan(40)));
    }

    [Fact]
    public void No_two_tables_overlap_and_nothing_lies_behind_the_last()
    {
        var image = new AcpiTables(CpuTopology.OneSocket(3), null).Image;
        var xsdt = U64(image, 24);
        var table = Table(image, xsdt, "XSDT");
        ulong[] addresses = [U64(Table(image, U64(table, 36), "FACP"), 140), U64(table, 36), U64(table, 44), U64(table, 52), xsdt];
        var ends = addresses.Select(a => a + BinaryPrimitives.ReadUInt32LittleEndian(image.AsSpan((int)(a - MemoryMap.AcpiTables) + 4))).ToArray();
        Assert.All(addresses.Skip(1).Zip(ends), pair => Assert.InRange(pair.First, pair.Second, pair.Second + 15));
        Assert.Equal(MemoryMap.AcpiTables + (ulong)image.Length, ends[^1]);
    }

    [Fact]
    public void The_fadt_is_hardware_reduced_with_sleep_and_reset_registers()
    {
        var fadt = Find("FACP", 36, 1);
        Assert.Equal(276, fadt.Length);
        Assert.Equal((6, 5), (fadt[8], fadt[131]));
        Assert.Equal(1U << 20 | 1U << 10 | 1U << 8 | 1U << 5 | 1U << 4 | 1U, BinaryPrimitives.ReadUInt32LittleEndian(fadt.AsSpan(112)));
        Assert.Equal("01080001F90C000000000000", Convert.ToHexString(fadt, 116, 12));
        Assert.Equal(0x0E, fadt[128]);
        Assert.Equal("010800010006000000000000", Convert.ToHexString(fadt, 244, 12));
        Assert.Equal("010800010106000000000000", Convert.ToHexString(fadt, 256, 12));
    }

    [Fact]
    public void The_madt_gives_wide_apic_ids_the_wide_entry()
    {
        var madt = Find("APIC", 44, 257);
        Assert.Equal(44 + (255 * 8) + (2 * 16) + 12 + 10, madt.Length);
        Assert.Equal("0000E0FE", Convert.ToHexString(madt, 36, 4));
        Assert.Equal("0008010101000000", Convert.ToHexString(madt, 44 + 8, 8));
        Assert.Equal("0008FEFE01000000", Convert.ToHexString(madt, 44 + (254 * 8), 8));
        Assert.Equal("0910000000010000" + "01000000" + "00010000", Convert.ToHexString(madt, 44 + (255 * 8) + 16, 16));
        Assert.Equal("010C00000000C0FE00000000", Convert.ToHexString(madt, madt.Length - 22, 12));
        Assert.Equal("020A0004040000000000", Convert.ToHexString(madt, madt.Length - 10, 10));
    }

    [Fact]
    public void The_mcfg_describes_bus_0()
    {
        var mcfg = Find("MCFG", 52, 1);
        Assert.Equal(60, mcfg.Length);
        Assert.Equal(MemoryMap.Ecam, U64(mcfg, 44));
        Assert.Equal(MemoryMap.EcamSize, ((ulong)mcfg[55] - mcfg[54] + 1) << 20);
    }

    [Fact]
    public void More_vcpus_than_the_area_describes_are_refused()
    {
        Assert.NotEmpty(new AcpiTables(CpuTopology.OneSocket(1024), Window).Image);
        var problem = Assert.Throws<VmmProblemException>(() => new AcpiTables(CpuTopology.OneSocket(16_384), null));
        Assert.Equal(("too-many-vcpus", "vcpus"), (problem.Code, problem.Field));
    }

    internal static byte[] Dsdt((ulong Start, ulong End)? window)
    {
        var image = new AcpiTables(CpuTopology.OneSocket(1), window).Image;
        return Table(image, U64(Table(image, U64(Table(image, U64(image, 24), "XSDT"), 36), "FACP"), 140), "DSDT");
    }

    private static byte[] Find(string signature, int entry, int vcpus)
    {
        var image = new AcpiTables(CpuTopology.OneSocket(vcpus), null).Image;
        return Table(image, U64(Table(image, U64(image, 24), "XSDT"), entry), signature);
    }

    private static byte[] Table(byte[] image, ulong address, string signature)
    {
        var start = (int)(address - MemoryMap.AcpiTables);
        var table = image.AsSpan(start, BinaryPrimitives.ReadInt32LittleEndian(image.AsSpan(start + 4))).ToArray();
        Assert.Equal(signature, Encoding.ASCII.GetString(table, 0, 4));
        Assert.Equal(0, Sum(table));
        Assert.Equal(0, start % 16);
        return table;
    }

    private static byte Sum(ReadOnlySpan<byte> bytes)
    {
        byte sum = 0;
        foreach (var value in bytes)
            sum = unchecked((byte)(sum + value));
        return sum;
    }

    private static ulong U64(byte[] bytes, int offset) => BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(offset));
}
