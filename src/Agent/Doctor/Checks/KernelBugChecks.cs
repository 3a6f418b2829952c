namespace Exitless.Agent.Doctor.Checks;

/// <summary>A bug of the kernel's that loses or delays interrupts.</summary>
/// <param name="Applies">Whether this host uses what is broken.</param>
/// <param name="IsFixed">Null: the release's name does not tell.</param>
/// <param name="Fix">Releases and commits.</param>
internal sealed record KernelBug(string Id, string What, Func<HostFacts, bool> Applies, Func<KernelRelease, bool?> IsFixed, string Fix);

/// <summary>
/// Kernels with known bugs that bear on devices' interrupts, each named in a commit of the kernel's. A distributor may have taken a fix into an older version; where the
/// release's name does not tell which stable release it holds, that is said.
/// </summary>
internal static class KernelBugChecks
{
    private static readonly KernelBug[] Bugs =
    [
        // 6.10's ed1e48ea4370 brought posted MSI for the host itself; a change of affinity then overwrote entries that were posted to a vCPU.
        new("posted-msi-overwrites-vcpu-posting", "with intremap=posted_msi, a change of an interrupt's affinity takes it away from the vCPU it was posted to",
            h => h.Boot.Find("intremap", "posted_msi") is not null && h.Kernel.IsAtLeast(6, 10),
            k => k.Has((6, 15), (6, 12, 24), (6, 13, 12), (6, 14, 3)), "6.15, 6.14.3, 6.13.12 and 6.12.24 (688124cc541f, 2454823e97a6)"),
        new("avic-stale-tpr", "with AVIC, a guest's task priority is lost when its APIC is set from outside, and Windows guests stop getting interrupts",
            h => h is { KvmModule: "kvm_amd", HasVirtualApic: true },
            k => k.Has((6, 17), (6, 1, 154), (6, 6, 108), (6, 12, 49), (6, 16, 9)), "6.17, 6.16.9, 6.12.49, 6.6.108 and 6.1.154 (d02e48830e3f)"),
        new("avic-erratum-1235", "with AVIC, this processor loses IPIs to a vCPU that has just stopped (erratum 1235): guests hang",
            h => h is { KvmModule: "kvm_amd", HasVirtualApic: true } && VirtualApicChecks.HasErratum1235(h.Processor),
            k => k.Has((6, 17)) ?? false, "6.17, which keeps AVIC and lets such IPIs exit (enable_ipiv)"),
        new("avic-excludes-nested", "AVIC is never active for a guest that is shown SVM (nested=1)",
            h => h is { KvmModule: "kvm_amd", HasVirtualApic: true } && h.Files.Flag(h.KvmParameter("nested")) == true,
            k => k.Has((5, 19)) ?? false, "5.19; before it, kvm_amd nested=0"),
    ];

    public static void Run(HostFacts host, Findings findings)
    {
        var evidence = Findings.Saw("/proc/sys/kernel/osrelease", host.Kernel.Text);
        var any = false;
        foreach (var bug in Bugs)
        {
            if (!bug.Applies(host) || bug.IsFixed(host.Kernel) is true)
                continue;
            any = true;
            var sure = bug.IsFixed(host.Kernel) is false;
            findings.Add("kernel-bug", bug.Id, sure ? Severity.Warning : Severity.Info,
                sure ? $"This kernel has a known bug: {bug.What}" : $"This kernel may have a known bug, its distributor's numbers do not tell: {bug.What}",
                Remedy.AtBoot($"Install a kernel with the fix: {bug.Fix}."), evidence);
        }
        if (!any)
            findings.Ok("kernel-bug", "No known bug of this kernel concerns this host", evidence);
    }
}
