using Exitless.Vmm.Control;

namespace Exitless.Agent.Interrupts;

/// <summary>The best path into a VM that this host has, and what is set up for it.</summary>
/// <param name="Path">posted or injected.</param>
/// <param name="Settings">What the VMM does for it; <see cref="VmInterrupts.OwnCpus"/> is decided when the CPUs are taken.</param>
/// <param name="Candidates">Isolated CPUs, the best first: those of the devices' node, and of each core one thread before the other.</param>
/// <param name="Memory">Huge pages on the devices' node; null: ordinary pages.</param>
internal sealed record InterruptPlan(string Path, VmInterrupts Settings, IReadOnlyList<int> Candidates, VmMemory? Memory);
