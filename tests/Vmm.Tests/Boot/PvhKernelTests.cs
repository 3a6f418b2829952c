using System.Buffers.Binary;
using CsCheck;
using Exitless.Vmm.Acpi;
using Exitless.Vmm.Boot;
using Exitless.Vmm.Control;
using Exitless.Vmm.Kvm;
using Exitless.Vmm.Memory;

namespace Exitless.Vmm.Tests.Boot;

/// <summary>ELF kernels: what is taken, where it goes, and what is refused.</summary>
public sealed class PvhKernelTests
{
    private const ulong MiB = 1 << 20;

    [Fact]
    public void A_kernel_is_loaded_with_its_empty_parts_and_told_where_things_are()
    {
        using var memory = new GuestMemory(64 * MiB);
        memory.Slice(0x100_0000, 0x2_0000).Fill(0xee);
        using var descriptors = new VmmDescriptors
        {
            Kvm = KernelFile.Open([]),
            Kernel = KernelFile.Open(new ElfFile { Code = [1, 2, 3], Second = (0x200_0000, 4096) }.ToArray()),
            Initrd = KernelFile.Open(new byte[5000]),
        };
        var kernel = GuestKernel.Read(descriptors.Kernel!);
        Assert.Equal((0x100_0000UL, 0x100_1000UL, 2047), (kernel.LoadAddress, kernel.InitBytes, kernel.CommandLineLimit));
        var plan = BootPlan.Make(kernel, 5000, "quiet", 64 * MiB);
        LinuxLoader.Load(memory, kernel, descriptors, plan, new AcpiTables(CpuTopology.OneSocket(1), null));

        Assert.Equal([1, 2, 3, 0], memory.Slice(0x100_0000, 4).ToArray());
        Assert.False(memory.Slice(0x100_0003, 0xfffd).ContainsAnyExcept((byte)0));
        Assert.Equal(0xee, memory.Slice(0x101_0000, 1)[0]);
        var info = memory.Slice(MemoryMap.ZeroPage, 4096);
        Assert.Equal((0x336ec578U, 1U, 1U), (U32(info, 0), U32(info, 4), U32(info, 12)));
        Assert.Equal((64 * MiB - 8192, 5000UL), (U64(info, (int)(U64(info, 16) - MemoryMap.ZeroPage)), U64(info, (int)(U64(info, 16) - MemoryMap.ZeroPage) + 8)));
        Assert.Equal("quiet\0"u8, memory.Slice(U64(info, 24), 6));
        Assert.Equal("RSD PTR "u8, memory.Slice(U64(info, 32), 8));
        var map = info[(int)(U64(info, 40) - MemoryMap.ZeroPage)..];
        Assert.Equal(4U, U32(info, 48));
        Assert.Equal((0UL, 0x9fc00UL, 1U), (U64(map, 0), U64(map, 8), U32(map, 16)));
        Assert.Equal((MiB, 63 * MiB, 1U), (U64(map, 48), U64(map, 56), U32(map, 64)));
    }

    [Fact]
    public void Other_machines_are_refused() => AssertProblem(new ElfFile { Machine = 183 }, "kernel-not-64-bit", "machine 183");

    [Fact]
    public void Files_of_32_bits_are_refused() => AssertProblem(new ElfFile { Class = 1 }, "kernel-not-64-bit", "32 bits");

    [Fact]
    public void A_file_without_the_note_is_refused() => AssertProblem(new ElfFile { Entry = null }, "kernel-not-pvh", "XEN_ELFNOTE_PHYS32_ENTRY");

    [Fact]
    public void Another_operating_system_is_refused_by_its_name() => AssertProblem(new ElfFile { System = "FreeBSD" }, "kernel-not-linux", "FreeBSD");

    [Fact]
    public void An_entry_outside_is_refused() => AssertProblem(new ElfFile { Entry = 0x2000_0000 }, "kernel-malformed", "0x20000000");

    [Fact]
    public void Overlapping_segments_are_refused() => AssertProblem(new ElfFile { Second = (0x100_8000, 4096) }, "kernel-malformed", "overlap");

    [Fact]
    public void Low_memory_is_refused() => AssertProblem(new ElfFile { Address = 0x1000, Entry = 0x1000 }, "kernel-malformed", "below 1 MiB");

    [Theory]
    [InlineData(0xc000_0000UL, 4096UL)]
    [InlineData(0x100_0000UL, ulong.MaxValue - 5)]
    public void What_does_not_fit_below_3_GiB_is_refused(ulong address, ulong bytes) => AssertProblem(new ElfFile { Address = address, MemoryBytes = bytes }, "kernel-too-large", $"0x{address:x}");

    [Fact]
    public void Half_a_file_is_refused() => AssertProblem(new ElfFile().ToArray()[..0x800], "kernel-truncated", "2,048");

    [Fact]
    public void Whatever_the_bytes_say_the_answer_is_a_kernel_or_a_problem()
    {
        var good = new ElfFile { Second = (0x200_0000, 4096) }.ToArray();
        Gen.Select(Gen.Int[4, ElfFile.NotesOffset + 100], Gen.ULong, Gen.Int[1, 8]).Array[1, 6].Sample(changes =>
        {
            var file = good.ToArray();
            foreach (var (at, value, bytes) in changes)
                BitConverter.GetBytes(value).AsSpan(0, bytes).CopyTo(file.AsSpan(at));
            using var handle = KernelFile.Open(file);
            try
            {
                var kernel = PvhKernel.Read(handle);
                Assert.InRange(kernel.LoadAddress + kernel.InitBytes, MemoryMap.OneMebibyte, MemoryMap.PciHole);
            }
            catch (VmmProblemException e)
            {
                Assert.StartsWith("kernel-", e.Code, StringComparison.Ordinal);
            }
        }, iter: 2000);
    }

    private static void AssertProblem(ElfFile file, string code, string says) => AssertProblem(file.ToArray(), code, says);

    private static void AssertProblem(byte[] file, string code, string says)
    {
        using var handle = KernelFile.Open(file);
        var problem = Assert.Throws<VmmProblemException>(() => GuestKernel.Read(handle));
        Assert.Equal((code, "kernel"), (problem.Code, problem.Field));
        Assert.Contains(says, problem.Detail, StringComparison.Ordinal);
    }

    private static uint U32(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[offset..]);

    private static ulong U64(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadUInt64LittleEndian(bytes[offset..]);
}
