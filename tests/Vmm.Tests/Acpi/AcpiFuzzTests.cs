using System.Buffers.Binary;
using CsCheck;
using Exitless.Vmm.Acpi;
using Exitless.Vmm.Kvm;
using Exitless.Vmm.Memory;

namespace Exitless.Vmm.Tests.Acpi;

/// <summary>Tables of any machine that can be asked for: within their area, each with its length and its checksum right.</summary>
public sealed class AcpiFuzzTests
{
    private const long MostBytes = 1 << 20;

    [Fact]
    public void Tables_of_any_machine_are_whole() => Gen.Select(Gen.Int[1, 4], Gen.Int[1, 8], Gen.Int[1, 2], Gen.Bool, Gen.ULong, Gen.ULong).Sample(
        (sockets, cores, threads, hasWindow, start, length) =>
        {
            start = MemoryMap.FourGibibytes + (start & 0xff_ffff_f000);
            (ulong, ulong)? window = hasWindow ? (start, start + (length & 0xff_ffff_f000) + 0x1000) : null;
            var before = GC.GetAllocatedBytesForCurrentThread();
            var image = new AcpiTables(new CpuTopology(sockets, cores, threads), window).Image;
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, MostBytes);
            Assert.InRange((ulong)image.Length, 64UL, MemoryMap.AcpiTablesEnd - MemoryMap.AcpiTables);
            Assert.Equal(0, Sum(image.AsSpan(0, 36)));
            var xsdt = Table(image, BinaryPrimitives.ReadUInt64LittleEndian(image.AsSpan(24)));
            for (var at = 36; at < xsdt.Length; at += 8)
                Table(image, BinaryPrimitives.ReadUInt64LittleEndian(xsdt[at..]));
        },
        iter: FuzzRuns.Count, threads: 1);

    private static ReadOnlySpan<byte> Table(byte[] image, ulong address)
    {
        var offset = (int)(address - MemoryMap.AcpiTables);
        var table = image.AsSpan(offset, BinaryPrimitives.ReadInt32LittleEndian(image.AsSpan(offset + 4)));
        Assert.Equal(0, Sum(table));
        return table;
    }

    private static byte Sum(ReadOnlySpan<byte> bytes)
    {
        byte sum = 0;
        foreach (var value in bytes)
            sum += value;
        return sum;
    }
}
