using System.Runtime.InteropServices;

namespace Exitless.Linux.Confinement;

/// <summary>One instruction of classic BPF (struct sock_filter).</summary>
/// <param name="Code">What it does.</param>
/// <param name="IfTrue">Instructions to skip where a comparison holds.</param>
/// <param name="IfFalse">Instructions to skip where it does not.</param>
/// <param name="Value">Its operand.</param>
[StructLayout(LayoutKind.Sequential)]
internal readonly record struct BpfInstruction(ushort Code, byte IfTrue, byte IfFalse, uint Value);

/// <summary>Filters on system calls (seccomp(2)).</summary>
internal static unsafe partial class Seccomp
{
    private const nint Number = 317, SetFilter = 1, AllThreads = 1;

    /// <summary>Puts a filter on every thread of the process, for good. Needs no_new_privs.</summary>
    public static void Install(ReadOnlySpan<BpfInstruction> program)
    {
        fixed (BpfInstruction* instructions = program)
        {
            var filter = new Program { Length = checked((ushort)program.Length), Instructions = instructions };
            var result = SeccompNative(Number, SetFilter, AllThreads, &filter);
            if (result != 0)
                throw result < 0 ? LinuxException.FromLastError("seccomp") : new LinuxException($"seccomp: thread {result} has another filter", Errno.Invalid);
        }
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Program
    {
        public ushort Length;
        public BpfInstruction* Instructions;
    }

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint SeccompNative(nint number, nint operation, nint flags, Program* program);
}
