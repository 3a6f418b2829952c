using System.IO.Pipes;
using CsCheck;
using Exitless.Linux;
using Exitless.Vmm.Boot;
using Exitless.Vmm.Control;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Tests.Boot;

public sealed class BzImageTests
{
    [Fact]
    public void The_header_is_read()
    {
        var image = Parse(new KernelFile().ToArray());
        Assert.Equal(KernelFile.PayloadOffset, image.PayloadOffset);
        Assert.Equal(64 * 1024, image.PayloadBytes);
        Assert.Equal(0x100_0000UL, image.LoadAddress);
        Assert.Equal(0x80_0000UL, image.InitBytes);
        Assert.Equal(0x7FFF_FFFFUL, image.InitrdLimit);
        Assert.Equal(2047, image.CommandLineLimit);
        Assert.Equal(0x26C - 0x1F1, image.Header.Length);
    }

    [Fact]
    public void A_header_that_would_run_into_the_memory_map_is_cut() =>
        Assert.Equal(0x290 - 0x1F1, Parse(new KernelFile { HeaderEnd = 0xFF }.ToArray()).Header.Length);

    [Fact]
    public void What_stands_behind_the_kernel_is_no_part_of_it() =>
        Assert.Equal(64 * 1024, Parse([.. new KernelFile().ToArray(), .. "a signature"u8]).PayloadBytes);

    [Fact]
    public void A_kernel_that_can_move_but_likes_to_be_below_1_mib_goes_where_it_is_aligned() =>
        Assert.Equal(0x20_0000UL, Parse(new KernelFile { Preferred = 0 }.ToArray()).LoadAddress);

    [Fact]
    public void An_elf_file_is_named() => AssertProblem("kernel-not-bzimage", [0x7F, .. "ELF"u8, .. new byte[8000]], "vmlinux");

    [Fact]
    public void A_gzip_file_is_named() => AssertProblem("kernel-not-bzimage", [0x1F, 0x8B, .. new byte[8000]], "gzip");

    [Fact]
    public void An_empty_file_is_named() => AssertProblem("kernel-not-bzimage", [], "empty");

    [Fact]
    public void A_file_of_zeros_is_no_bzimage() => AssertProblem("kernel-not-bzimage", new byte[8000], "0xAA55");

    [Fact]
    public void A_boot_sector_is_no_bzimage()
    {
        var file = new byte[8000];
        (file[0x1FE], file[0x1FF]) = (0x55, 0xAA);
        AssertProblem("kernel-not-bzimage", file, "HdrS");
    }

    [Fact]
    public void An_old_kernel_is_refused() => AssertProblem("kernel-protocol-too-old", new KernelFile { Protocol = 0x020B }.ToArray(), "2.11");

    [Fact]
    public void A_32_bit_kernel_is_refused() => AssertProblem("kernel-not-64-bit", new KernelFile { Flags = 0 }.ToArray(), "XLF_KERNEL_64");

    [Fact]
    public void A_zimage_is_refused() => AssertProblem("kernel-not-bzimage", new KernelFile { LoadFlags = 0 }.ToArray(), "zImage");

    [Fact]
    public void A_short_header_is_refused() => AssertProblem("kernel-not-bzimage", new KernelFile { HeaderEnd = 0x60 }.ToArray(), "0x262");

    [Fact]
    public void A_kernel_without_a_kernel_is_refused() => AssertProblem("kernel-not-bzimage", new KernelFile { PayloadLength = 0 }.ToArray(), "empty");

    [Fact]
    public void A_fixed_kernel_below_1_mib_is_refused() =>
        AssertProblem("kernel-not-bzimage", new KernelFile { Relocatable = 0, Preferred = 0x1000 }.ToArray(), "0x1000");

    [Fact]
    public void A_kernel_with_an_odd_alignment_is_refused() =>
        AssertProblem("kernel-not-bzimage", new KernelFile { Alignment = 0x30_0000 }.ToArray(), "0x300000");

    [Theory]
    [InlineData(1, "67,584")]
    [InlineData(64 * 1024, "67,584")]
    [InlineData(64 * 1024 + 1000, "67,584")]
    [InlineData(64 * 1024 + 1500, "656")]
    public void A_file_that_lacks_its_end_is_truncated(int missing, string needed) => AssertProblem("kernel-truncated", new KernelFile().ToArray()[..^missing], needed);

    [Fact]
    public void A_pipe_cannot_be_read_as_a_kernel()
    {
        using var pipe = new AnonymousPipeServerStream(PipeDirection.In);
        using var handle = new SafeFileHandle(pipe.SafePipeHandle.DangerousGetHandle(), ownsHandle: false);
        var problem = Assert.Throws<VmmProblemException>(() => BzImage.Read(handle));
        Assert.Equal(("kernel-unreadable", "kernel"), (problem.Code, problem.Field));
        Assert.Contains("errno 29", problem.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_cannot_be_read_as_a_kernel()
    {
        using var handle = Files.Open(Path.GetTempPath(), OpenMode.Read);
        Assert.Equal("kernel-unreadable", Assert.Throws<VmmProblemException>(() => BzImage.Read(handle)).Code);
    }

    [Fact]
    public void Reading_wants_no_more_of_a_file_than_there_is()
    {
        using var kernel = KernelFile.Open(new KernelFile { PayloadLength = 16 }.ToArray());
        Assert.Equal(16, BzImage.Read(kernel).PayloadBytes);
    }

    [Fact]
    public void Random_bytes_give_a_problem_and_never_a_crash() => Gen.Byte.Array[0, 6000].Sample(bytes =>
    {
        Assert.Throws<VmmProblemException>(() => Parse(bytes));
    });

    [Fact]
    public void A_damaged_header_gives_an_image_inside_the_file_or_a_problem()
    {
        var damage = Gen.Select(Gen.Int[0x1F1, 0x26B], Gen.Byte).Array[1, 12];
        Gen.Select(damage, Gen.Int[0, 70_000]).Sample((changes, length) =>
        {
            var file = new KernelFile().ToArray();
            foreach (var (at, value) in changes)
                file[at] = value;
            file = file[..Math.Min(length, file.Length)];
            try
            {
                var image = Parse(file);
                return image.PayloadOffset + image.PayloadBytes <= file.Length && image.LoadAddress >= 0x10_0000 && image.Header.Length <= 0x290 - 0x1F1;
            }
            catch (VmmProblemException problem)
            {
                return problem.Field == "kernel" && problem.Detail.Length > 0;
            }
        });
    }

    private static BzImage Parse(byte[] file) => BzImage.Parse(file.AsSpan(0, Math.Min(file.Length, BzImage.HeadBytes)), file.Length);

    private static void AssertProblem(string code, byte[] file, string says)
    {
        var problem = Assert.Throws<VmmProblemException>(() => Parse(file));
        Assert.Equal(code, problem.Code);
        Assert.Equal("kernel", problem.Field);
        Assert.Contains(says, problem.Detail, StringComparison.Ordinal);
        Assert.NotEmpty(problem.Remedy);
    }
}
