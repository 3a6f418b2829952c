using Exitless.Agent.Doctor;
using Exitless.Linux;
using Exitless.Linux.Sysfs;

namespace Exitless.Agent.Grading;

/// <summary>
/// Whether interrupts of assigned devices can pass this host's CPUs by. Posting takes an APIC that the CPU virtualizes (kvm_intel's enable_apicv, kvm_amd's avic) and
/// an IOMMU whose every unit can post (<see cref="IommuUnits"/>); one unit that cannot keeps the kernel from posting at all. ELI is not of the host but of a VM: whether that VM has it
/// now, its own statistics say (<see cref="DirectActivity"/>).
/// </summary>
internal static class HostBypass
{
    /// <returns><see cref="VectorGrade.Posted"/>, or null where no interrupt passes by the host.</returns>
    public static VectorGrade? Read(HostRoot root)
    {
        var virtualized = IsOn(root, "module/kvm_intel/parameters/enable_apicv") || IsOn(root, "module/kvm_amd/parameters/avic");
        var units = IommuUnits.Read(new HostFiles(root));
        return virtualized && units.Count > 0 && units.All(unit => unit.CanPost == true) ? VectorGrade.Posted : null;
    }

    private static bool IsOn(HostRoot root, string path) => SysfsFile.Text(root.Sys(path)) is "Y" or "1";
}
