using Exitless.Contracts;

namespace Exitless.Simulator;

/// <summary>A doctor's report that fits the simulated machine; the ids are those of docs/doctor.md.</summary>
internal static class SimulatedFindings
{
    public static DoctorReport Of(ulong seed, SimulatedHardware hardware)
    {
        var draw = new Draw(seed ^ 0xD0C);
        var report = new DoctorReport();
        Add(report, "virtualization", "ok", "The processor virtualizes", "/proc/cpuinfo", hardware.Vendor == "GenuineIntel" ? "flags: vmx" : "flags: svm");
        Add(report, "interrupt-remapping", "ok", "Interrupts are remapped", "/proc/interrupts", "IR-PCI-MSIX");
        if (hardware.Path == SimulatedPath.Posted)
            Add(report, "iommu-posting", "ok", "Every IOMMU unit can post interrupts", "/sys/class/iommu/simulated0", "posting");
        else
            Add(report, "iommu-posting", "warning", "No IOMMU unit can post interrupts: each interrupt of a device goes to a host CPU first", "/sys/class/iommu/simulated0", "no posting",
                "No setting helps: give VMs that need exit-less interrupts a host whose IOMMU posts.", reboot: true);
        if (draw.Unit() < 0.3)
            Add(report, "irqbalance", "warning", "irqbalance runs and moves interrupts away from where they were put", "/proc/812/comm", "irqbalance", "systemctl disable --now irqbalance");
        if (draw.Unit() < 0.2)
            Add(report, "isolated-cpus", "info", "No CPU is isolated for vCPUs", "/sys/devices/system/cpu/isolated", "", "Add isolcpus=managed_irq,domain,8-31 to the kernel's command line.", reboot: true);
        return report;
    }

    private static void Add(DoctorReport report, string id, string severity, string title, string path, string value, string remedy = "", bool reboot = false) =>
        report.Findings.Add(new Finding { Id = id, Severity = severity, Title = title, Evidence = { new Evidence { Path = path, Value = value } }, Remedy = remedy, NeedsReboot = reboot });
}
