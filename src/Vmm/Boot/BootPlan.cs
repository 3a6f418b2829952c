using System.Text;
using Exitless.Vmm.Control;
using Exitless.Vmm.Memory;

namespace Exitless.Vmm.Boot;

/// <summary>Where the parts of a Linux boot go in guest memory. Everything is checked before anything is loaded.</summary>
/// <param name="KernelAddress">Where the protected-mode kernel is loaded; a bzImage's 64-bit entry is 0x200 behind.</param>
/// <param name="InitrdAddress">Where the initrd begins; 0 without one.</param>
/// <param name="InitrdBytes">Its size; 0 without one.</param>
/// <param name="CommandLine">The command line with its final zero.</param>
internal sealed record BootPlan(ulong KernelAddress, ulong InitrdAddress, ulong InitrdBytes, byte[] CommandLine)
{
    private const ulong Page = 4096;

    /// <summary>Makes the plan.</summary>
    /// <param name="kernel">The kernel.</param>
    /// <param name="initrdBytes">The initrd's size; null without one.</param>
    /// <param name="commandLine">The command line.</param>
    /// <param name="memoryBytes">The guest's RAM.</param>
    /// <exception cref="VmmProblemException">kernel-too-large, memory-too-small, initrd-empty, initrd-too-large, command-line-too-long, command-line-not-printable.</exception>
    public static BootPlan Make(GuestKernel kernel, long? initrdBytes, string commandLine, ulong memoryBytes)
    {
        var kernelEnd = CheckFits(kernel, memoryBytes);
        var initrd = initrdBytes is { } bytes ? PlaceInitrd(kernel, (ulong)bytes, kernelEnd, memoryBytes) : 0;
        return new BootPlan(kernel.LoadAddress, initrd, (ulong)(initrdBytes ?? 0), Encode(kernel, commandLine));
    }

    /// <summary>Checks the kernel's place, without adding up what the header says before it is known to be small.</summary>
    /// <returns>The end of what the kernel needs at first.</returns>
    private static ulong CheckFits(GuestKernel kernel, ulong memoryBytes)
    {
        var address = kernel.LoadAddress;
        if (address >= MemoryMap.PciHole || kernel.InitBytes > MemoryMap.PciHole - address)
        {
            throw new VmmProblemException("kernel-too-large", "The kernel does not fit below 3 GiB.",
                $"It wants {kernel.InitBytes:#,0} bytes at 0x{address:x}; the memory that a kernel can start in ends at 0x{MemoryMap.PciHole:x}.",
                "Choose a kernel with the usual load address (CONFIG_PHYSICAL_START).", "kernel");
        }
        var end = address + kernel.InitBytes;
        if (end > memoryBytes)
        {
            throw new VmmProblemException("memory-too-small", "The VM has too little memory for its kernel.",
                $"The kernel needs the memory up to {end:#,0} bytes to start; the VM has {memoryBytes:#,0}.",
                $"Give the VM at least {RoundUpMebibytes(end)} MiB, and more for what it is to do.", "memoryBytes");
        }
        return end;
    }

    private static ulong PlaceInitrd(GuestKernel kernel, ulong bytes, ulong kernelEnd, ulong memoryBytes)
    {
        if (bytes == 0)
            throw new VmmProblemException("initrd-empty", "The initrd is empty.", "It has 0 bytes.", "Copy it again, or start the VM without one.", "initrd");
        var first = RoundUpPage(kernelEnd);
        // The most that any amount of memory gives: the kernel's own limit, or the PCI hole.
        var ceiling = Math.Min(kernel.InitrdLimit + 1, MemoryMap.PciHole) & ~(Page - 1);
        var end = Math.Min(memoryBytes, ceiling) & ~(Page - 1);
        var room = Room(first, end);
        var needed = RoundUpPage(bytes);
        if (needed <= room)
            return end - needed;

        var most = Room(first, ceiling);
        throw new VmmProblemException("initrd-too-large", "The initrd does not fit into the VM's memory.",
            $"The initrd has {bytes:#,0} bytes; behind the kernel, up to 0x{end:x}, there is room for {room:#,0}.",
            needed <= most
                ? $"Give the VM at least {RoundUpMebibytes(first + needed)} MiB, or choose a smaller initrd."
                : $"Choose an initrd of at most {most:#,0} bytes: {(kernel.InitrdLimit < MemoryMap.PciHole ? "this kernel takes none that ends" : "no guest has memory for one")} above 0x{ceiling:x}, however much memory the VM has.",
            "initrd");
    }

    private static byte[] Encode(GuestKernel kernel, string commandLine)
    {
        var bytes = Encoding.UTF8.GetBytes(commandLine + '\0');
        var excess = bytes.Length - 1 - kernel.CommandLineLimit;
        if (excess > 0)
        {
            throw new VmmProblemException("command-line-too-long", "The kernel's command line is too long.",
                $"It has {bytes.Length - 1:#,0} bytes; this kernel takes {kernel.CommandLineLimit:#,0}.", $"Shorten it by {excess:#,0}.", "commandLine");
        }
        var bad = commandLine.AsSpan().IndexOfAnyInRange('\0', '\x1f');
        if (bad >= 0)
        {
            throw new VmmProblemException("command-line-not-printable", "The kernel's command line has a control character.",
                $"Character {bad + 1:#,0} is U+{(int)commandLine[bad]:X4}.", "Write it in one line, without tabs.", "commandLine");
        }
        return bytes;
    }

    private static ulong Room(ulong first, ulong end) => end > first ? end - first : 0;

    private static ulong RoundUpPage(ulong bytes) => (bytes + Page - 1) & ~(Page - 1);

    private static ulong RoundUpMebibytes(ulong bytes) => ((bytes + (2 << 20) - 1) & ~((2UL << 20) - 1)) >> 20;
}
