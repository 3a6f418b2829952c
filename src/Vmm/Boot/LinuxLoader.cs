using Exitless.Vmm.Acpi;
using Exitless.Vmm.Control;
using Exitless.Vmm.Memory;

namespace Exitless.Vmm.Boot;

/// <summary>Puts a planned Linux boot into guest memory.</summary>
internal static class LinuxLoader
{
    private const ulong Entry64 = 0x200;

    /// <summary>Loads kernel, initrd, command line, ACPI tables, boot parameters, reset vector, GDT and page tables.</summary>
    /// <returns>The kernel's 64-bit entry.</returns>
    /// <exception cref="VmmProblemException">A file cannot be read any more, see <see cref="BootFile.Load"/>.</exception>
    public static ulong Load(GuestMemory memory, BzImage kernel, VmmDescriptors descriptors, BootPlan plan, AcpiTables acpi)
    {
        new BootFile(descriptors.Kernel, "kernel").Load(memory, kernel.PayloadOffset, plan.KernelAddress, kernel.PayloadBytes);
        if (plan.InitrdBytes > 0)
            new BootFile(descriptors.Initrd!, "initrd").Load(memory, 0, plan.InitrdAddress, (long)plan.InitrdBytes);
        plan.CommandLine.CopyTo(memory.Slice(MemoryMap.CommandLine, plan.CommandLine.Length));
        acpi.Image.CopyTo(memory.Slice(MemoryMap.AcpiTables, acpi.Image.Length));
        ZeroPage.Fill(memory.Slice(MemoryMap.ZeroPage, ZeroPage.Bytes), kernel.Header, plan, memory.Ranges, MemoryMap.AcpiTables);
        ResetVector.Code.CopyTo(memory.Slice(MemoryMap.ResetVector, ResetVector.Code.Length));
        LongMode.WriteTables(memory);
        return plan.KernelAddress + Entry64;
    }
}
