using System.Text;
using Exitless.Vmm.Control;
using Exitless.Vmm.Memory;

namespace Exitless.Vmm.Boot;

/// <summary>Where the parts of a Linux boot go in guest memory. Everything is checked before anything is loaded.</summary>
/// <param name="KernelAddress">Where the protected-mode kernel is loaded; its 64-bit entry is 0x200 behind.</param>
/// <param name="InitrdAddress">Where the initrd begins; 0 without one.</param>
/// <param name="InitrdBytes">Its size; 0 without one.</param>
/// <param name="CommandLine">The command line with its final zero.</param>
internal sealed record BootPlan(ulong KernelAddress, ulong InitrdAddress, ulong InitrdBytes, byte[] CommandLine)
{
    private const ulong Page = 4096;

    /// <summary>Makes the plan.</summary>
    /// <exception cref="VmmProblemException">memory-too-small, initrd-too-large, command-line-too-long.</exception>
    public static BootPlan Make(BzImage kernel, long initrdBytes, string commandLine, ulong memoryBytes)
    {
        var low = Math.Min(memoryBytes, MemoryMap.PciHole);
        // A relocatable kernel moves up to its preferred address by itself if it is loaded below; loading it there saves the move.
        var address = Math.Max(kernel.PreferredAddress, MemoryMap.OneMebibyte);
        var kernelEnd = address + Math.Max(kernel.InitBytes, (ulong)kernel.PayloadBytes);
        if (kernelEnd > low)
        {
            throw new VmmProblemException("memory-too-small", "The VM has too little memory for its kernel.",
                $"The kernel needs the memory up to {kernelEnd:#,0} bytes to start; the VM has {memoryBytes:#,0}.",
                $"Give the VM at least {RoundUpMebibytes(kernelEnd)} MiB, and more for what it is to do.", "memoryBytes");
        }
        return new BootPlan(address, PlaceInitrd(kernel, (ulong)initrdBytes, kernelEnd, low, memoryBytes), (ulong)initrdBytes, Encode(kernel, commandLine));
    }

    private static ulong PlaceInitrd(BzImage kernel, ulong bytes, ulong kernelEnd, ulong low, ulong memoryBytes)
    {
        if (bytes == 0)
            return 0;
        var end = Math.Min(low, kernel.InitrdLimit + 1) & ~(Page - 1);
        var room = end > kernelEnd ? end - kernelEnd : 0;
        if (((bytes + Page - 1) & ~(Page - 1)) > room)
        {
            throw new VmmProblemException("initrd-too-large", "The initrd does not fit into the VM's memory.",
                $"The initrd has {bytes:#,0} bytes; beside the kernel {room:#,0} are left of the VM's {memoryBytes:#,0}.",
                $"Give the VM at least {RoundUpMebibytes(kernelEnd + bytes + Page)} MiB, or choose a smaller initrd.", "initrd");
        }
        return (end - bytes) & ~(Page - 1);
    }

    private static byte[] Encode(BzImage kernel, string commandLine)
    {
        var bytes = Encoding.UTF8.GetBytes(commandLine + '\0');
        if (bytes.Length - 1 > kernel.CommandLineLimit)
        {
            throw new VmmProblemException("command-line-too-long", "The kernel's command line is too long.",
                $"It has {bytes.Length - 1:#,0} bytes; this kernel takes {kernel.CommandLineLimit:#,0}.", "Shorten it.", "commandLine");
        }
        return bytes;
    }

    private static ulong RoundUpMebibytes(ulong bytes) => ((bytes + (2 << 20) - 1) & ~((2UL << 20) - 1)) >> 20;
}
