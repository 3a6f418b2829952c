using System.Buffers.Binary;
using CsCheck;
using Exitless.Vmm.Boot;
using Exitless.Vmm.Control;
using Exitless.Vmm.Memory;

namespace Exitless.Vmm.Tests.Boot;

/// <summary>Kernels with any header: each is refused in words, or everything that it asks for lies within the guest's memory.</summary>
public sealed class KernelHeaderFuzzTests
{
    private const ulong Memory = 256UL << 20;
    private const long MostBytes = 256 << 10;

    // Mostly a header that is nearly right: what only looks at the magic is soon through.
    private static readonly Gen<(byte[] Head, long FileBytes)> Kernels = Gen.Select(
        Gen.Int[0, 9], Gen.Byte.Array[0, BzImage.HeadBytes], Gen.Select(Gen.Int[0x1f1, 0x28f], Gen.Byte).Array[0, 12], Gen.OneOf(Gen.Long[0, 1 << 20], Gen.Long)).Select(
            (kind, noise, changes, length) =>
            {
                if (kind == 0)
                    return (noise, length);
                var head = TinyKernel.Image(TinyKernel.PowerOff).AsSpan(0, BzImage.HeadBytes).ToArray();
                foreach (var (at, value) in changes)
                    head[at] = value;
                return (head, kind == 1 ? length : 1 << 20);
            });

    [Fact]
    public void A_header_is_refused_in_words_or_asks_for_nothing_beyond_the_memory() => Kernels.Sample(
        kernel =>
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                var image = BzImage.Parse(kernel.Head, kernel.FileBytes);
                var plan = BootPlan.Make(image, 4096, "console=ttyS0", Memory);
                Assert.InRange(image.PayloadOffset, 1, kernel.FileBytes);
                Assert.InRange(image.PayloadBytes, 0, kernel.FileBytes - image.PayloadOffset);
                Assert.InRange(image.LoadAddress, MemoryMap.OneMebibyte, Memory - image.InitBytes);
                Assert.InRange(plan.InitrdAddress, image.LoadAddress + image.InitBytes, Memory - 4096);
            }
            catch (VmmProblemException problem)
            {
                Assert.NotEmpty(problem.Code);
                Assert.NotEmpty(problem.Detail);
                Assert.NotEmpty(problem.Remedy);
            }
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, MostBytes);
        },
        iter: FuzzRuns.Count, threads: 1);

    [Fact]
    public void The_unchanged_header_is_taken() =>
        Assert.Equal(TinyKernel.LoadAddress, BzImage.Parse(TinyKernel.Image(TinyKernel.PowerOff).AsSpan(0, BzImage.HeadBytes), 1 << 20).LoadAddress);

    [Fact]
    public void A_protocol_that_is_too_old_is_named()
    {
        var head = TinyKernel.Image(TinyKernel.PowerOff).AsSpan(0, BzImage.HeadBytes).ToArray();
        BinaryPrimitives.WriteUInt16LittleEndian(head.AsSpan(0x206), 0x20b);
        Assert.Equal("kernel-protocol-too-old", Assert.Throws<VmmProblemException>(() => BzImage.Parse(head, 1 << 20)).Code);
    }
}
