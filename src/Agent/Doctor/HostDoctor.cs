using Exitless.Agent.Doctor.Checks;
using Exitless.Contracts;
using Exitless.Linux;

namespace Exitless.Agent.Doctor;

/// <summary>What the doctor found, what it read to find it, and the topology to keep for the next boot.</summary>
internal sealed record Diagnosis(IReadOnlyList<Finding> Findings, HostFiles Files, TopologyMemory Memory)
{
    /// <summary>0: fine, 1: warnings, 2: blockers.</summary>
    public int ExitCode => Findings.Any(f => f.Severity == Severity.Blocker) ? 2 : Findings.Any(f => f.Severity == Severity.Warning) ? 1 : 0;

    public DoctorReport Report
    {
        get
        {
            var report = new DoctorReport();
            report.Findings.AddRange(Findings);
            return report;
        }
    }
}

/// <summary>Looks at a host through its files and says what keeps VMs from exit-less interrupts, and what to do. It changes nothing.</summary>
internal sealed class HostDoctor(HostRoot root, string stateFolder)
{
    public Diagnosis Diagnose()
    {
        var files = new HostFiles(root);
        var host = new HostFacts(files);
        var findings = new Findings();
        VirtualizationChecks.Run(host, findings);
        IommuChecks.Run(host, findings);
        VirtualApicChecks.Run(host, findings);
        PostingChecks.Run(host, findings);
        DirectChecks.Run(host, findings);
        GroupChecks.Run(host, findings);
        SriovChecks.Run(host, findings);
        VectorChecks.Run(host, findings);
        DedicationChecks.Run(host, findings);
        KernelBugChecks.Run(host, findings);
        var memory = TopologyMemory.Load(files, stateFolder);
        var today = BootTopology.Read(host);
        if (host.HasIommu)
            TopologyChecks.Run(memory.Before(today.BootId), today, findings);
        return new Diagnosis(findings.List, files, memory.With(today));
    }
}
