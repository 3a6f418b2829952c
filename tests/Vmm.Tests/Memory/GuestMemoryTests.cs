using CsCheck;
using Exitless.Vmm.Control;
using Exitless.Vmm.Memory;

namespace Exitless.Vmm.Tests.Memory;

public sealed class GuestMemoryTests
{
    private const ulong MiB = 1UL << 20, GiB = 1UL << 30;

    [Theory]
    [InlineData(2 * MiB, 2 * MiB, 0)]
    [InlineData(3 * GiB, 3 * GiB, 0)]
    [InlineData((3 * GiB) + (2 * MiB), 3 * GiB, 2 * MiB)]
    public void Memory_goes_round_the_pci_hole(ulong bytes, ulong low, ulong high)
    {
        using var memory = new GuestMemory(bytes);
        Assert.Equal(low, memory.LowBytes);
        (ulong, ulong)[] expected = high == 0 ? [(0, low)] : [(0, low), (4 * GiB, high)];
        Assert.Equal(expected, memory.Ranges.Select(r => (r.GuestAddress, r.Size)));
    }

    [Fact]
    public unsafe void Ranges_are_where_they_say_and_do_not_overlap()
    {
        using var memory = new GuestMemory((3 * GiB) + (4 * MiB));
        "low end"u8.CopyTo(memory.Slice((3 * GiB) - 7, 7));
        "high"u8.CopyTo(new Span<byte>((byte*)memory.Ranges[1].HostAddress, 4));
        Assert.Equal("low end"u8, memory.Slice((3 * GiB) - 7, 7));
        Assert.Equal("low end"u8, new ReadOnlySpan<byte>((byte*)memory.Ranges[0].HostAddress + (3 * GiB) - 7, 7));
    }

    [Fact]
    public void A_slice_is_given_exactly_when_low_memory_holds_it()
    {
        using var memory = new GuestMemory(4 * MiB);
        ulong[] borders = [0, 4 * MiB, 4 * GiB, ulong.MaxValue];
        var addresses = Gen.Select(Gen.Int[0, borders.Length - 1], Gen.Long[-5000, 5000], (edge, near) => unchecked(borders[edge] + (ulong)near));
        Gen.Select(Gen.OneOf(addresses, Gen.ULong), Gen.OneOf(Gen.Int[-10, 5000], Gen.Int)).Sample((address, length) =>
        {
            var inside = length >= 0 && (Int128)address + length <= 4 * MiB;
            try
            {
                return memory.Slice(address, length).Length == length && inside;
            }
            catch (ArgumentOutOfRangeException)
            {
                return !inside;
            }
        });
    }

    [Fact]
    public void More_than_the_kernel_can_map_is_refused_in_words()
    {
        var problem = Assert.Throws<VmmProblemException>(() => new GuestMemory(1UL << 50));
        Assert.Equal(("memory-not-available", "memoryBytes"), (problem.Code, problem.Field));
        Assert.Contains("1,125,899,906,842,624", problem.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public void Nothing_of_the_map_overlaps() => Gen.ULong[1, 1 << 21].Select(n => n * 2 * MiB).Sample(bytes =>
    {
        var start = MemoryMap.Mmio64Start(bytes);
        var highEnd = bytes <= MemoryMap.PciHole ? MemoryMap.FourGibibytes : MemoryMap.FourGibibytes + bytes - MemoryMap.PciHole;
        (ulong Start, ulong End)[] all =
        [
            (0, Math.Min(bytes, MemoryMap.PciHole)), (MemoryMap.Mmio32, MemoryMap.Mmio32End), (MemoryMap.Ecam, MemoryMap.Ecam + MemoryMap.EcamSize),
            (MemoryMap.IoApic, MemoryMap.IoApic + 4096), (MemoryMap.LocalApic, MemoryMap.LocalApic + 4096), (MemoryMap.IdentityMap, MemoryMap.IdentityMap + 4096),
            (MemoryMap.Tss, MemoryMap.Tss + (3 * 4096)), (MemoryMap.FourGibibytes, highEnd), (start, ulong.MaxValue),
        ];
        return start % GiB == 0 && all.Zip(all.Skip(1)).All(pair => pair.First.End <= pair.Second.Start);
    });

    [Fact]
    public void What_the_loader_writes_lies_apart_and_outside_of_what_the_map_calls_reserved_for_firmware()
    {
        // GDT, zero page, six page tables, the longest command line that is taken.
        (ulong Start, ulong End)[] low =
        [
            (MemoryMap.Gdt, MemoryMap.Gdt + 32), (MemoryMap.ZeroPage, MemoryMap.ZeroPage + 4096), (MemoryMap.PageTables, MemoryMap.PageTables + (6 * 4096)),
            (MemoryMap.CommandLine, MemoryMap.CommandLine + 0x10000), (MemoryMap.LowRamEnd, MemoryMap.AcpiTables), (MemoryMap.AcpiTables, MemoryMap.AcpiTablesEnd), (MemoryMap.OneMebibyte, GiB),
        ];
        Assert.All(low.Zip(low.Skip(1)), pair => Assert.True(pair.First.End <= pair.Second.Start));
    }
}
