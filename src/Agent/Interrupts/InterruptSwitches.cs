using Exitless.Agent.Locality;
using Exitless.Agent.Machines;
using Exitless.Contracts;
using Exitless.Linux;
using Exitless.Vmm.Control;

namespace Exitless.Agent.Interrupts;

/// <summary>
/// Brings the switches of a running VM's interrupts where they are wanted. Two things decide an interrupt's path: whether it goes around posting, which the VM's process does, and, where the APIC is
/// virtualized, which of the host's CPUs takes it: the vCPU's own must leave the guest for it, another passes it on without an exit.
/// </summary>
/// <param name="root">The host.</param>
internal sealed class InterruptSwitches(HostRoot root)
{
    private readonly LocalityReader _places = new(root);

    /// <returns>What was refused, in words: a vector that the guest does not use now, or a path that this host does not have. The VM runs on.</returns>
    public async Task<IReadOnlyList<string>> ApplyAsync(RunningVm vm, WantedVm wanted, CancellationToken stop)
    {
        if (wanted.Devices.Count == 0)
            return [];
        var refused = new List<string>();
        var virtualized = new Doctor.HostFacts(new Doctor.HostFiles(root)).HasVirtualApic == true;
        var switches = wanted.Switches.Where(s => virtualized || !s.Assisted).ToList();
        if (switches.Count < wanted.Switches.Count)
            refused.Add("Interrupts cannot take the path 'assisted' on this host: its KVM does not virtualize the APIC, so whatever CPU takes an interrupt, the vCPU leaves the guest to have it put in. The doctor's finding 'apicv' or 'avic' says why.");
        var forAll = switches.LastOrDefault(s => s.Address.Length == 0);
        await SetAsync(null, null, forAll?.Injected ?? wanted.Interrupts == InterruptPolicy.Injected);
        foreach (var one in switches.Where(s => s.Address.Length > 0))
            await SetAsync(one.Address, one.HasVector ? (int)one.Vector : null, one.Injected);
        if (virtualized)
            await SteerAsync();
        return refused;

        async Task SetAsync(string? address, int? vector, bool injected)
        {
            try
            {
                await vm.Client.SwitchInterruptsAsync(address, vector, injected, stop);
            }
            catch (Exception e) when (e is VmmProblemException or IOException)
            {
                refused.Add(e.Message);
            }
        }

        async Task SteerAsync()
        {
            try
            {
                refused.AddRange(VectorSteering.Apply(root, VectorSteering.Plan(root, await _places.ReadAsync(vm, stop), switches)));
            }
            catch (Exception e) when (e is VmmProblemException or IOException)
            {
                refused.Add(e.Message);
            }
        }
    }
}
