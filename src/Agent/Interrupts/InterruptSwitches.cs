using Exitless.Contracts;
using Exitless.Vmm.Control;

namespace Exitless.Agent.Interrupts;

/// <summary>Brings the switches of a running VM's interrupts where they are wanted.</summary>
internal static class InterruptSwitches
{
    /// <returns>What was refused, in words: a vector that the guest does not use now, or a VM of an earlier version. The VM runs on.</returns>
    public static async Task<IReadOnlyList<string>> ApplyAsync(VmmClient vm, WantedVm wanted, CancellationToken stop)
    {
        if (wanted.Devices.Count == 0)
            return [];
        var refused = new List<string>();
        async Task SetAsync(string? address, int? vector, bool injected)
        {
            try
            {
                await vm.SwitchInterruptsAsync(address, vector, injected, stop);
            }
            catch (Exception e) when (e is VmmProblemException or IOException)
            {
                refused.Add(e.Message);
            }
        }
        var forAll = wanted.Switches.LastOrDefault(s => s.Address.Length == 0);
        await SetAsync(null, null, forAll?.Injected ?? wanted.Interrupts == InterruptPolicy.Injected);
        foreach (var one in wanted.Switches.Where(s => s.Address.Length > 0))
            await SetAsync(one.Address, one.HasVector ? (int)one.Vector : null, one.Injected);
        return refused;
    }
}
