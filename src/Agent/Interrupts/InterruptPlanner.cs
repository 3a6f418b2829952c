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
        var posts = MeetsPolicy(host, vm.Interrupts, vm.Devices.Count > 0);
        var virtualized = host.HasVirtualApic == true;
        var settings = new VmInterrupts
        {
            HideX2Apic = virtualized && host.KvmModule == "kvm_amd" && !host.Processor.Flags.Contains("x2avic"),
            HidePvEoi = virtualized,
            Injected = posts && vm.Interrupts == InterruptPolicy.Injected,
        };
        int? node = nodes.Distinct().ToArray() is [var only] ? only : null;
        return new InterruptPlan(posts && !settings.Injected ? "posted" : "injected", settings, Candidates(root, node), HugePages(root, vm, node));
    }

    private static bool MeetsPolicy(Doctor.HostFacts host, InterruptPolicy policy, bool hasDevices)
    {
        var findings = new Findings();
        VirtualizationChecks.Run(host, findings);
        IommuChecks.Run(host, findings);
        VirtualApicChecks.Run(host, findings);
        PostingChecks.Run(host, findings);
        var posts = findings.Has("device-posting", Severity.Ok);
        switch (policy)
        {
            case InterruptPolicy.Unspecified or InterruptPolicy.Auto or InterruptPolicy.Injected:
                return posts;
            case InterruptPolicy.Posted when posts || !hasDevices:
                return posts;
            case InterruptPolicy.Posted:
                var reasons = findings.List.Where(f => f.Severity is Severity.Warning or Severity.Blocker).ToList();
                throw new ProblemException(
                    "interrupts-not-posted", "This host cannot post interrupts",
                    reasons.Count == 0 ? "The host does not show that it can." : string.Join(" ", reasons.Select(f => f.Title.TrimEnd('.') + ".")),
                    $"{(reasons.FirstOrDefault(f => f.Remedy.Length > 0) is { } way ? way.Remedy.TrimEnd('.') + "; or" : "Choose another host, or")} set interrupts to auto, which takes the best path that the host has.", "interrupts");
            case InterruptPolicy.Eli:
                throw new ProblemException(
                    "interrupts-not-direct", "This host cannot deliver interrupts directly", "Its KVM has no direct interrupts (ELI).", "Set interrupts to auto, which takes the best path that the host has.", "interrupts");
            default:
                throw new ProblemException(
                    "interrupts-unknown", "The agent does not know this policy", $"It was number {(int)policy}.", "Update the agent, or choose auto, posted, eli or injected.", "interrupts");
        }
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
