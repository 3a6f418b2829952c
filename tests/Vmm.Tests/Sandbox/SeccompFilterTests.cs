using CsCheck;
using Exitless.Linux.Confinement;
using Exitless.Vmm.Sandbox;

namespace Exitless.Vmm.Tests.Sandbox;

/// <summary>The filter, run by an interpreter of the few instructions that it has: what the kernel would answer to any call.</summary>
public sealed class SeccompFilterTests
{
    private const uint Process = 4711, X86_64 = 0xc000003e;
    private static readonly BpfInstruction[] Program = SeccompFilter.Compile(AllowedCalls.Rules(Process));

    [Theory]
    [InlineData(257)]   // openat
    [InlineData(2)]     // open
    [InlineData(437)]   // openat2
    [InlineData(41)]    // socket
    [InlineData(53)]    // socketpair
    [InlineData(42)]    // connect
    [InlineData(59)]    // execve
    [InlineData(322)]   // execveat
    [InlineData(57)]    // fork
    [InlineData(58)]    // vfork
    [InlineData(101)]   // ptrace
    [InlineData(310)]   // process_vm_readv
    [InlineData(62)]    // kill
    [InlineData(105)]   // setuid
    [InlineData(135)]   // personality: would make every readable page executable
    [InlineData(161)]   // chroot
    [InlineData(165)]   // mount
    [InlineData(272)]   // unshare
    [InlineData(308)]   // setns
    [InlineData(329)]   // pkey_mprotect
    [InlineData(30)]    // shmat
    [InlineData(319)]   // memfd_create
    [InlineData(425)]   // io_uring_setup
    [InlineData(321)]   // bpf
    public void These_are_refused_whatever_their_arguments(uint number) =>
        Gen.UInt.Array[6].Sample(arguments => Run(number, arguments) == SeccompFilter.RefuseNotPermitted, iter: 1000);

    [Fact]
    public void Executable_memory_is_refused_and_other_memory_is_not() => Gen.Select(Gen.Bool.Select(b => b ? 9u : 10u), Gen.UInt.Array[6]).Sample((number, arguments) =>
        Run(number, arguments) == ((arguments[2] & 4) == 0 ? SeccompFilter.Allow : SeccompFilter.RefuseNotPermitted));

    [Fact]
    public void Ioctls_are_those_of_KVM_and_VFIO_and_one_of_TAP() => Gen.UInt.Array[6].Sample(arguments =>
        Run(16, arguments) == ((arguments[1] >> 8 & 0xff) is 0xae or 0x3b || arguments[1] == 0x400454d0 ? SeccompFilter.Allow : SeccompFilter.RefuseNotPermitted));

    [Theory]
    [InlineData(0xae80u, true)]      // KVM_RUN
    [InlineData(0x3b71u, true)]      // VFIO_IOMMU_MAP_DMA
    [InlineData(0x5412u, false)]     // TIOCSTI
    [InlineData(0x400454cau, false)] // TUNSETIFF
    [InlineData(0x400454d0u, true)]  // TUNSETOFFLOAD
    [InlineData(0x400454d8u, false)] // TUNSETVNETHDRSZ
    public void Known_ioctls(uint request, bool allowed) => Assert.Equal(allowed ? SeccompFilter.Allow : SeccompFilter.RefuseNotPermitted, Run(16, [3, request, 0, 0, 0, 0]));

    [Fact]
    public void Signals_go_to_this_process_alone()
    {
        Assert.Equal(SeccompFilter.Allow, Run(234, [Process, 1, 40, 0, 0, 0]));
        Assert.Equal(SeccompFilter.RefuseNotPermitted, Run(234, [Process + 1, 1, 40, 0, 0, 0]));
    }

    [Fact]
    public void Threads_can_be_made_and_processes_cannot()
    {
        const uint asTheCLibraryDoes = 0x3d0f00;
        Assert.Equal(SeccompFilter.Allow, Run(56, [asTheCLibraryDoes, 0, 0, 0, 0, 0]));
        Assert.Equal(SeccompFilter.RefuseNotPermitted, Run(56, [0x11, 0, 0, 0, 0, 0]));
        Assert.Equal(SeccompFilter.RefuseNotPermitted, Run(56, [asTheCLibraryDoes | 0x10000000, 0, 0, 0, 0, 0]));
        Assert.Equal(SeccompFilter.RefuseAbsent, Run(435, [0, 0, 0, 0, 0, 0]));
    }

    [Fact]
    public void Another_architecture_and_x32_get_nowhere()
    {
        Assert.Equal(SeccompFilter.KillProcess, Run(0, [0, 0, 0, 0, 0, 0], 0x40000003));
        Assert.Equal(SeccompFilter.RefuseNotPermitted, Run(0x40000000, [0, 0, 0, 0, 0, 0]));
    }

    [Fact]
    public void No_jump_leaves_the_program() => Assert.All(
        Program.Index().Where(i => i.Item.Code == 0x15).Select(i => i.Index + 1 + Math.Max(i.Item.IfTrue, i.Item.IfFalse)), target => Assert.InRange(target, 1, Program.Length - 1));

    private static uint Run(uint number, uint[] arguments, uint architecture = X86_64)
    {
        uint accumulator = 0;
        for (var at = 0; ; at++)
        {
            var instruction = Program[at];
            switch (instruction.Code)
            {
                case 0x20:
                    accumulator = instruction.Value switch
                    {
                        0 => number,
                        4 => architecture,
                        var offset => arguments[(offset - 16) / 8],
                    };
                    break;
                case 0x54:
                    accumulator &= instruction.Value;
                    break;
                case 0x15:
                    at += accumulator == instruction.Value ? instruction.IfTrue : instruction.IfFalse;
                    break;
                case 0x06:
                    return instruction.Value;
                default:
                    throw new InvalidOperationException($"Instruction 0x{instruction.Code:x} is unknown.");
            }
        }
    }
}
