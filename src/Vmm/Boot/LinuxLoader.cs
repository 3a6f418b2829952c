using Exitless.Vmm.Acpi;
using Exitless.Vmm.Control;
using Exitless.Vmm.Memory;

namespace Exitless.Vmm.Boot;

/// <summary>Puts a planned Linux boot into guest memory.</summary>
internal static class LinuxLoader
{
    /// <summary>Loads kernel and boot parameters, initrd, command line, ACPI tables and reset vector.</summary>
    /// <exception cref="VmmProblemException">A file cannot be read any more, see <see cref="BootFile.Load"/>.</exception>
    public static void Load(GuestMemory memory, GuestKernel kernel, VmmDescriptors descriptors, BootPlan plan, AcpiTables acpi)
    {
        kernel.Load(memory, new BootFile(descriptors.Kernel!, "kernel"), plan);
        if (plan.InitrdBytes > 0)
            new BootFile(descriptors.Initrd!, "initrd").Load(memory, 0, plan.InitrdAddress, (long)plan.InitrdBytes);
        plan.CommandLine.CopyTo(memory.Slice(MemoryMap.CommandLine, plan.CommandLine.Length));
        acpi.Image.CopyTo(memory.Slice(MemoryMap.AcpiTables, acpi.Image.Length));
        ResetVector.Code.CopyTo(memory.Slice(MemoryMap.ResetVector, ResetVector.Code.Length));
    }
}
