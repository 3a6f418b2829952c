using System.Buffers.Binary;
using System.IO.Pipes;
using CsCheck;
using Exitless.Linux;
using Exitless.Vmm.Acpi;
using Exitless.Vmm.Boot;
using Exitless.Vmm.Control;
using Exitless.Vmm.Kvm;
using Exitless.Vmm.Memory;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Tests.Boot;

/// <summary>What stands in guest memory when the kernel is entered.</summary>
public sealed class LinuxLoaderTests
{
    private const ulong MiB = 1 << 20, GiB = 1 << 30;

    [Fact]
    public void Kernel_initrd_and_parameters_are_where_the_kernel_looks()
    {
        var file = new KernelFile().ToArray();
        var initrd = Enumerable.Range(0, 10_001).Select(i => (byte)(i * 3)).ToArray();
        using var memory = new GuestMemory(128 * MiB);
        using var descriptors = Descriptors(file, initrd);

        Load(memory, descriptors, "console=ttyS0 quiet");

        Assert.True(memory.Slice(0x100_0000, 64 * 1024).SequenceEqual(file.AsSpan(KernelFile.PayloadOffset)));
        var page = memory.Slice(MemoryMap.ZeroPage, 4096);
        Assert.True(page[0x1F1..0x210].SequenceEqual(file.AsSpan(0x1F1..0x210)));
        Assert.Equal(0xFF, page[0x210]);
        Assert.Equal(0x100_0000U, U32(page, 0x214));
        Assert.Equal("RSD PTR "u8, memory.Slice(U64(page, 0x70), 8));
        Assert.Equal(ResetVector.Code, memory.Slice(MemoryMap.ResetVector, ResetVector.Code.Length));
        Assert.Equal("console=ttyS0 quiet\0"u8, memory.Slice(U32(page, 0x228), 20));
        Assert.Equal(10_001U, U32(page, 0x21C));
        var place = U32(page, 0x218);
        Assert.Equal((128 * MiB) - (3 * 4096), place);
        Assert.True(memory.Slice(place, 10_001).SequenceEqual(initrd));
    }

    [Fact]
    public void The_memory_map_lists_ram_and_reserves_ecam()
    {
        using var memory = new GuestMemory(5 * GiB);
        using var descriptors = Descriptors(new KernelFile().ToArray(), null);
        Load(memory, descriptors, "");
        var page = memory.Slice(MemoryMap.ZeroPage, 4096);
        Assert.Equal(5, page[0x1E8]);
        Assert.Equal((0U, 0U), (U32(page, 0x218), U32(page, 0x21C)));
        Assert.Equal((0UL, 0x9FC00UL, 1U), Entry(page, 0));
        Assert.Equal((0x9FC00UL, 0x60400UL, 2U), Entry(page, 1));
        Assert.Equal((0x10_0000UL, 0xC000_0000UL - 0x10_0000, 1U), Entry(page, 2));
        Assert.Equal((0xE000_0000UL, 0x10_0000UL, 2U), Entry(page, 3));
        Assert.Equal((0x1_0000_0000UL, 2 * GiB, 1U), Entry(page, 4));
    }

    [Fact]
    public void The_page_tables_map_the_first_4_gib_to_themselves()
    {
        using var memory = new GuestMemory(64 * MiB);
        LongMode.WriteTables(memory);
        Gen.UInt.Sample(address => Translate(memory, MemoryMap.PageTables, address) == address);
        Assert.Null(Translate(memory, MemoryMap.PageTables, 4 * GiB));
    }

    [Fact]
    public void The_descriptor_table_has_linuxs_boot_segments()
    {
        using var memory = new GuestMemory(64 * MiB);
        LongMode.WriteTables(memory);
        var table = memory.Slice(MemoryMap.Gdt, 32);
        // __BOOT_CS 0x10: 64-bit code; __BOOT_DS 0x18: flat data; both accessed (Intel SDM volume 3, section 3.4.5).
        Assert.Equal(0x00AF_9B00_0000_FFFFUL, U64(table, 0x10));
        Assert.Equal(0x00CF_9300_0000_FFFFUL, U64(table, 0x18));
    }

    [Theory]
    [InlineData(true, "kernel-truncated", "kernel")]
    [InlineData(false, "initrd-truncated", "initrd")]
    public void A_file_that_shrinks_while_it_is_read_is_truncated(bool shrinkKernel, string code, string field)
    {
        using var memory = new GuestMemory(64 * MiB);
        using var descriptors = Descriptors(new KernelFile().ToArray(), new byte[20_000]);
        var problem = Assert.Throws<VmmProblemException>(() => Load(memory, descriptors, "", () => RandomAccess.SetLength(shrinkKernel ? descriptors.Kernel! : descriptors.Initrd!, 10_000)));
        Assert.Equal((code, field), (problem.Code, problem.Field));
        Assert.Contains("10,000", problem.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public void A_pipe_cannot_be_read_as_an_initrd()
    {
        using var pipe = new AnonymousPipeServerStream(PipeDirection.In);
        using var handle = new SafeFileHandle(pipe.SafePipeHandle.DangerousGetHandle(), ownsHandle: false);
        var problem = Assert.Throws<VmmProblemException>(() => new BootFile(handle, "initrd").Length());
        Assert.Equal(("initrd-unreadable", "initrd"), (problem.Code, problem.Field));
    }

    private static VmmDescriptors Descriptors(byte[] kernel, byte[]? initrd) => new()
    {
        Kvm = Files.Open("/dev/null", OpenMode.Read),
        Kernel = KernelFile.Open(kernel),
        Initrd = initrd is null ? null : KernelFile.Open(initrd),
    };

    private static void Load(GuestMemory memory, VmmDescriptors descriptors, string commandLine, Action? between = null)
    {
        var kernel = GuestKernel.Read(descriptors.Kernel!);
        var bytes = memory.Ranges.Aggregate(0UL, (sum, r) => sum + r.Size);
        var plan = BootPlan.Make(kernel, descriptors.Initrd is null ? null : new BootFile(descriptors.Initrd, "initrd").Length(), commandLine, bytes);
        between?.Invoke();
        LinuxLoader.Load(memory, kernel, descriptors, plan, new AcpiTables(CpuTopology.OneSocket(1), null));
    }

    /// <summary>Walks four levels as the CPU does; null where nothing is mapped.</summary>
    private static ulong? Translate(GuestMemory memory, ulong root, ulong address)
    {
        var table = root;
        for (var shift = 39; ; shift -= 9)
        {
            var entry = U64(memory.Slice(table + (((address >> shift) & 511) * 8), 8), 0);
            if ((entry & 1) == 0)
                return null;
            var page = entry & 0x000F_FFFF_FFFF_F000;
            if (shift == 12 || (entry & 0x80) != 0)
                return page | (address & ((1UL << shift) - 1));
            table = page;
        }
    }

    private static (ulong Start, ulong Bytes, uint Type) Entry(ReadOnlySpan<byte> page, int index) =>
        (U64(page, 0x2D0 + (index * 20)), U64(page, 0x2D8 + (index * 20)), U32(page, 0x2E0 + (index * 20)));

    private static ulong U64(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadUInt64LittleEndian(bytes[offset..]);

    private static uint U32(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[offset..]);
}
