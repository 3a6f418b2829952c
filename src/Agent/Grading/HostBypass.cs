using Exitless.Linux;
using Exitless.Linux.Sysfs;

namespace Exitless.Agent.Grading;

/// <summary>
/// Whether interrupts of assigned devices can pass this host's CPUs by. Posting takes an APIC that the CPU virtualizes (kvm_intel's enable_apicv, kvm_amd's avic) and
/// an IOMMU whose every unit can post: Intel's capability bit 59 (VT-d specification, 11.4.2), AMD's GA_VAPIC, extended feature bit 21 (AMD I/O Virtualization, 3.4.9);
/// one unit that cannot keeps the kernel from posting at all (drivers/iommu/intel/irq_remapping.c, set_irq_posting_cap).
/// </summary>
internal static class HostBypass
{
    private const int IntelPosting = 59, AmdVirtualApic = 21;

    /// <returns><see cref="VectorGrade.Posted"/>, or null where no interrupt passes by the host.</returns>
    public static VectorGrade? Read(HostRoot root)
    {
        var virtualized = IsOn(root, "module/kvm_intel/parameters/enable_apicv") || IsOn(root, "module/kvm_amd/parameters/avic");
        var units = SysfsFile.Names(root.Sys("class/iommu"));
        return virtualized && units.Count > 0 && units.All(unit => CanPost(root, unit)) ? VectorGrade.Posted : null;
    }

    private static bool CanPost(HostRoot root, string unit) =>
        HasBit(root.Sys($"class/iommu/{unit}/intel-iommu/cap"), IntelPosting) || HasBit(root.Sys($"class/iommu/{unit}/amd-iommu/features"), AmdVirtualApic);

    private static bool HasBit(string path, int bit) => SysfsFile.Hex(path) is { } value && (value >> bit & 1) != 0;

    private static bool IsOn(HostRoot root, string path) => SysfsFile.Text(root.Sys(path)) is "Y" or "1";
}
