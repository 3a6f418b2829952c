using Exitless.Vmm.Control;

namespace Exitless.Agent.Interrupts;

/// <summary>The best path into a VM that this host has, and what is set up for it.</summary>
/// <param name="Path">posted, direct or injected.</param>
/// <param name="Settings">What the VMM does for it; <see cref="VmInterrupts.OwnCpus"/> is decided when the CPUs are taken.</param>
/// <param name="Candidates">Isolated CPUs, the best first: those of the devices' node, and of each core one thread before the other.</param>
/// <param name="Memory">Huge pages on the devices' node; null: ordinary pages.</param>
internal sealed record InterruptPlan(string Path, VmInterrupts Settings, IReadOnlyList<int> Candidates, VmMemory? Memory)
{
    /// <summary>The path by ELI, which takes a CPU for each vCPU.</summary>
    public const string Direct = "direct";

    /// <summary>True: the VM's policy asks for this path and for no other.</summary>
    public bool IsDemanded { get; init; }

    /// <summary>The plan for the CPUs that the VM got.</summary>
    /// <param name="cpus">One for each vCPU, or none: they share the CPUs of the host.</param>
    /// <param name="vcpus">How many vCPUs the VM has.</param>
    /// <exception cref="ProblemException">interrupts-not-direct: the policy asks for direct interrupts, and there are too few CPUs for them.</exception>
    public InterruptPlan For(IReadOnlyList<int> cpus, int vcpus)
    {
        if (cpus.Count > 0)
            return this with { Settings = Settings with { OwnCpus = true } };
        if (Path != Direct)
            return this;
        if (IsDemanded)
        {
            throw new ProblemException(
                "interrupts-not-direct", "This host cannot deliver interrupts directly",
                $"Direct interrupts (ELI) take an isolated CPU for each vCPU, {vcpus} for this VM. The host has isolated {(Candidates.Count == 0 ? "none" : string.Join(", ", Candidates.Order()))}"
                + (Candidates.Count >= vcpus ? ", and other VMs have them." : "."),
                "Isolate more CPUs (doctor: isolated-cpus), stop a VM that has some, or give this one fewer vCPUs; or set interrupts to auto, which takes the best path that the host has.", "interrupts");
        }
        return this with { Path = "injected", Settings = Settings with { Direct = VmDirectInterrupts.None, HidePvEoi = false } };
    }
}
