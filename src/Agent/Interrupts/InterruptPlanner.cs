using Exitless.Agent.Doctor;
using Exitless.Agent.Doctor.Checks;
using Exitless.Contracts;
using Exitless.Linux;
using Exitless.Linux.Sysfs;
using Exitless.Vmm.Control;

namespace Exitless.Agent.Interrupts;

/// <summary>
/// Chooses how interrupts reach a VM: what its policy asks for, or the best that the host has. Reads only. The host's conditions are those that the doctor checks, so a
/// refusal and the doctor's page say the same.
/// </summary>
internal static class InterruptPlanner
{
    private static readonly long[] HugePageSizes = [1 << 30, 2 << 20];

    /// <param name="root">The host.</param>
    /// <param name="vm">The VM.</param>
    /// <param name="nodes">NUMA nodes of its devices.</param>
    /// <exception cref="ProblemException">interrupts-not-posted, interrupts-not-direct, interrupts-unknown: the host cannot meet the policy.</exception>
    public static InterruptPlan Plan(HostRoot root, WantedVm vm, IReadOnlyList<int> nodes)
    {
        var host = new Doctor.HostFacts(new HostFiles(root));
        var path = Choose(host, vm.Interrupts, vm.Devices.Count > 0);
        var (posts, direct) = (path == "posted", path == InterruptPlan.Direct);
        var virtualized = host.HasVirtualApic == true;
        var settings = new VmInterrupts
        {
            HideX2Apic = virtualized && host.KvmModule == "kvm_amd" && !host.Processor.Flags.Contains("x2avic"),
            HidePvEoi = virtualized || direct,
            Injected = posts && vm.Interrupts == InterruptPolicy.Injected,
            Direct = direct ? VmDirectInterrupts.Full : VmDirectInterrupts.None,
        };
        int? node = nodes.Distinct().ToArray() is [var only] ? only : null;
        return new InterruptPlan(settings.Injected ? "injected" : path, settings, Candidates(root, node), HugePages(root, vm, node)) { IsDemanded = vm.Interrupts == InterruptPolicy.Eli };
    }

    // The best path that the policy allows. By ELI is the best where the host cannot post, and only for a VM with a device.
    private static string Choose(Doctor.HostFacts host, InterruptPolicy policy, bool hasDevices)
    {
        var findings = new Findings();
        VirtualizationChecks.Run(host, findings);
        IommuChecks.Run(host, findings);
        VirtualApicChecks.Run(host, findings);
        PostingChecks.Run(host, findings);
        DirectChecks.Run(host, findings);
        var hardware = findings.Has("device-posting", Severity.Ok) ? "posted" : "injected";
        var direct = findings.Has("eli", Severity.Ok);
        switch (policy)
        {
            case InterruptPolicy.Unspecified or InterruptPolicy.Auto:
                return direct && hasDevices ? InterruptPlan.Direct : hardware;
            case InterruptPolicy.Injected:
                return hardware;
            case InterruptPolicy.Posted or InterruptPolicy.Eli when !hasDevices:
                return hardware;
            case InterruptPolicy.Posted when hardware == "posted":
                return hardware;
            case InterruptPolicy.Eli when direct:
                return InterruptPlan.Direct;
            case InterruptPolicy.Posted:
                var reasons = findings.List.Where(f => f.Severity is Severity.Warning or Severity.Blocker).ToList();
                throw new ProblemException(
                    "interrupts-not-posted", "This host cannot post interrupts",
                    reasons.Count == 0 ? "The host does not show that it can." : string.Join(" ", reasons.Select(f => f.Title.TrimEnd('.') + ".")),
                    $"{(reasons.FirstOrDefault(f => f.Remedy.Length > 0) is { } way ? way.Remedy.TrimEnd('.') + "; or" : "Choose another host, or")} set interrupts to auto, which takes the best path that the host has.", "interrupts");
            case InterruptPolicy.Eli:
                throw NotDirect(host, findings, hardware);
            default:
                throw new ProblemException(
                    "interrupts-unknown", "The agent does not know this policy", $"It was number {(int)policy}.", "Update the agent, or choose auto, posted, eli or injected.", "interrupts");
        }
    }

    private static ProblemException NotDirect(Doctor.HostFacts host, Findings findings, string hardware)
    {
        const string Auto = "set interrupts to auto, which takes the best path that the host has.";
        var finding = findings.List.FirstOrDefault(f => f.Id == "eli");
        var (reason, remedy) = hardware == "posted" ? ("It posts them in hardware, which needs no ELI.", "")
            : finding is not null ? (finding.Title.TrimEnd('.') + ".", finding.Remedy)
            : host.KvmModule != "kvm_amd" ? ("Its KVM has no direct interrupts (ELI), which are for AMD processors.", "")
            : ($"Its KVM has no direct interrupts (ELI), which are for Linux 6.12 (this is {host.Kernel.Text}) and an IOMMU that remaps interrupts.", "");
        return new ProblemException("interrupts-not-direct", "This host cannot deliver interrupts directly", reason,
            remedy.Length > 0 ? $"{remedy.TrimEnd('.')}; or {Auto}" : "S" + Auto[1..], "interrupts");
    }

    // Of the devices' node first; and a second thread of a core only when all cores have one VM's thread already.
    private static IReadOnlyList<int> Candidates(HostRoot root, int? node)
    {
        var online = CpuList.Parse(SysfsFile.Text(root.Sys("devices/system/cpu/online"))).ToHashSet();
        var near = node is { } n ? CpuList.Parse(SysfsFile.Text(root.Sys($"devices/system/node/node{n}/cpulist"))).ToHashSet() : [];
        return [.. CpuList.Parse(SysfsFile.Text(root.Sys("devices/system/cpu/isolated"))).Where(online.Contains)
            .OrderBy(c => near.Count == 0 || near.Contains(c) ? 0 : 1)
            .ThenBy(c => CpuList.Parse(SysfsFile.Text(root.Sys($"devices/system/cpu/cpu{c}/topology/thread_siblings_list"))).TakeWhile(s => s != c).Count())
            .ThenBy(c => c)
            .Select(c => (int)c)];
    }

    private static VmMemory? HugePages(HostRoot root, WantedVm vm, int? node)
    {
        var bytes = (long)vm.MemoryMib << 20;
        var page = HugePageSizes.FirstOrDefault(p => bytes % p == 0 && (node is { } n ? new MemoryNode(root, n).FreeHugePages(p) : MemoryNode.FreeHugePages(root, p)) * p >= bytes);
        if (page == 0)
            return null;
        return new VmMemory { PageBytes = page, Nodes = node is null ? [] : [new VmMemoryNode { Bytes = bytes, HostNode = node, Vcpus = [.. Enumerable.Range(0, (int)vm.Vcpus)] }] };
    }
}
