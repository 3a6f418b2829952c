using CsCheck;
using Exitless.Vmm.Boot;
using Exitless.Vmm.Control;

namespace Exitless.Vmm.Tests.Boot;

public sealed class BootPlanTests
{
    private const ulong MiB = 1 << 20, GiB = 1 << 30;

    [Fact]
    public void The_initrd_stays_below_the_kernels_limit()
    {
        var plan = BootPlan.Make(Kernel(new KernelFile { InitrdAddressMax = 0x37FF_FFFF }), 5000, "", 3 * GiB);
        Assert.Equal((0x3800_0000UL - 8192, 5000UL), (plan.InitrdAddress, plan.InitrdBytes));
    }

    [Fact]
    public void Without_an_initrd_there_is_none()
    {
        var plan = BootPlan.Make(Kernel(new KernelFile()), null, "quiet", 64 * MiB);
        Assert.Equal((0UL, 0UL), (plan.InitrdAddress, plan.InitrdBytes));
        Assert.Equal("quiet\0"u8, plan.CommandLine);
    }

    [Fact]
    public void Too_little_memory_for_the_kernel_names_what_would_do()
    {
        var problem = Refuse(new KernelFile { InitSize = 48 << 20 }, null, "", 32 * MiB);
        Assert.Equal(("memory-too-small", "memoryBytes"), (problem.Code, problem.Field));
        Assert.Contains("at least 64 MiB", problem.Remedy, StringComparison.Ordinal);
        Assert.NotNull(BootPlan.Make(Kernel(new KernelFile { InitSize = 48 << 20 }), null, "", 64 * MiB));
    }

    [Theory]
    [InlineData(0xFFFF_FFFF_FFF0_0000, 0x10_0000U)]
    [InlineData(0xFFFF_FFFF_FFFF_FFFF, 0xFFFF_FFFFU)]
    [InlineData(0x100_0000UL, 0xFFFF_FFFFU)]
    [InlineData(0xC000_0000UL, 0x1000U)]
    public void A_kernel_that_wants_to_lie_in_the_pci_hole_is_refused_whatever_the_memory(ulong preferred, uint size)
    {
        var problem = Refuse(new KernelFile { Preferred = preferred, InitSize = size }, 1, "", 512 * GiB);
        Assert.Equal(("kernel-too-large", "kernel"), (problem.Code, problem.Field));
        Assert.Contains("0xc0000000", problem.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public void An_initrd_too_large_names_sizes_and_the_memory_that_would_do()
    {
        var problem = Refuse(new KernelFile(), 9 << 20, "", 32 * MiB);
        Assert.Equal(("initrd-too-large", "initrd"), (problem.Code, problem.Field));
        Assert.Contains("9,437,184", problem.Detail, StringComparison.Ordinal);
        Assert.Contains("8,388,608", problem.Detail, StringComparison.Ordinal);
        Assert.Contains("34 MiB", problem.Remedy, StringComparison.Ordinal);
        Assert.Equal(25 * MiB, BootPlan.Make(Kernel(new KernelFile()), 9 << 20, "", 34 * MiB).InitrdAddress);
    }

    [Theory]
    [InlineData(0x1FF_FFFFU, 9L << 20, "at most 8,388,608 bytes: this kernel takes none that ends above 0x2000000")]
    [InlineData(0xFFFF_FFFFU, 3L << 30, "at most 3,196,059,648 bytes: no guest has memory for one above 0xc0000000")]
    [InlineData(0x7FFF_FFFFU, long.MaxValue, "at most 2,122,317,824 bytes: this kernel takes none that ends above 0x80000000")]
    public void An_initrd_that_no_memory_helps_names_the_limit_and_the_largest_that_fits(uint limit, long bytes, string says)
    {
        var problem = Refuse(new KernelFile { InitrdAddressMax = limit }, bytes, "", 512 * GiB);
        Assert.Equal("initrd-too-large", problem.Code);
        Assert.Contains(says, problem.Remedy, StringComparison.Ordinal);
        var most = long.Parse(problem.Remedy.Split("at most ")[1].Split(' ')[0].Replace(",", "", StringComparison.Ordinal));
        Assert.Equal((ulong)most, BootPlan.Make(Kernel(new KernelFile { InitrdAddressMax = limit }), most, "", 512 * GiB).InitrdBytes);
    }

    [Fact]
    public void An_empty_initrd_is_refused()
    {
        var problem = Refuse(new KernelFile(), 0, "", 64 * MiB);
        Assert.Equal(("initrd-empty", "initrd"), (problem.Code, problem.Field));
    }

    [Fact]
    public void A_command_line_one_byte_too_long_names_the_limit()
    {
        var problem = Refuse(new KernelFile(), null, new string('x', 2048), 64 * MiB);
        Assert.Equal(("command-line-too-long", "commandLine"), (problem.Code, problem.Field));
        Assert.Contains("2,047", problem.Detail, StringComparison.Ordinal);
        Assert.Equal(2048, BootPlan.Make(Kernel(new KernelFile()), null, new string('x', 2047), 64 * MiB).CommandLine.Length);
    }

    [Theory]
    [InlineData("quiet\nroot=/dev/sda", "Character 6 is U+000A")]
    [InlineData("\0", "Character 1 is U+0000")]
    public void A_control_character_in_the_command_line_is_refused(string line, string says)
    {
        var problem = Refuse(new KernelFile(), null, line, 64 * MiB);
        Assert.Equal(("command-line-not-printable", "commandLine"), (problem.Code, problem.Field));
        Assert.Contains(says, problem.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_plan_keeps_its_parts_apart_and_inside_low_memory_and_everything_else_is_a_problem()
    {
        var addresses = Gen.OneOf(Gen.ULong[0, 4 * GiB], Gen.ULong);
        var sizes = Gen.OneOf(Gen.Long[1, 256 << 20], Gen.Long[0, long.MaxValue]);
        var memories = Gen.ULong[1, 4096].Select(n => n * 2 * MiB);
        Gen.Select(addresses, Gen.UInt, Gen.UInt, sizes, memories).Sample((preferred, initSize, limit, initrd, memory) =>
        {
            try
            {
                var image = Kernel(new KernelFile { Preferred = preferred, InitSize = initSize, InitrdAddressMax = limit });
                var plan = BootPlan.Make(image, initrd, "", memory);
                var low = Math.Min(memory, 3 * GiB);
                return plan.KernelAddress >= MiB && plan.KernelAddress + image.InitBytes <= plan.InitrdAddress && plan.InitrdAddress % 4096 == 0
                    && plan.InitrdAddress + plan.InitrdBytes <= low && plan.InitrdAddress + plan.InitrdBytes - 1 <= limit;
            }
            catch (VmmProblemException problem)
            {
                return problem.Code is "kernel-too-large" or "memory-too-small" or "initrd-too-large" or "initrd-empty";
            }
        });
    }

    private static BzImage Kernel(KernelFile file)
    {
        var bytes = file.ToArray();
        return BzImage.Parse(bytes.AsSpan(0, BzImage.HeadBytes), bytes.Length);
    }

    private static VmmProblemException Refuse(KernelFile kernel, long? initrdBytes, string commandLine, ulong memoryBytes)
    {
        var image = Kernel(kernel);
        var problem = Assert.Throws<VmmProblemException>(() => BootPlan.Make(image, initrdBytes, commandLine, memoryBytes));
        Assert.NotEmpty(problem.Remedy);
        return problem;
    }
}
