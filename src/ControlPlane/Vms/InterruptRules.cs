using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Hosts;

namespace Exitless.ControlPlane.Vms;

/// <summary>What must hold before the switch of a VM's interrupts is thrown, and where it stands afterwards.</summary>
internal static class InterruptRules
{
    /// <summary>MSI-X has at most 2,048 vectors (PCI Express Base Specification 6.0, section 7.7.2).</summary>
    public const int MostVectors = 2048;

    public static void Check(InterruptSwitch request, VmRow vm, IReadOnlyList<StoredFinding> findings)
    {
        var mistakes = new Mistakes();
        if (vm.State != VmState.Running || vm.Desired != DesiredRun.Running)
            mistakes.Add(ProblemKind.Conflict, "vm-not-running", "", $"VM {vm.Name} does not run.", "Start it first; the policy 'interrupts' says how it begins.");
        if (vm.Devices.Count == 0)
            mistakes.Add(ProblemKind.Conflict, "vm-without-device", "", $"VM {vm.Name} has no assigned device.", "Nothing of it is injected or posted; create it with a VF.");
        if (request.Device is { } device && vm.Devices.All(d => d.Address != device))
            mistakes.Add(ProblemKind.Invalid, "device-not-assigned", "device", $"'{device}' is not a device of VM {vm.Name}.", $"Name one of {string.Join(", ", vm.Devices.Select(d => d.Address))}, or none for all.");
        // What the doctor has not told yet, the agent decides.
        if (request.Path == InterruptPath.Assisted && findings.FirstOrDefault(f => f.Id is "apicv" or "avic" && f.Severity > FindingSeverity.Ok) is { } missing)
            mistakes.Add(ProblemKind.Conflict, "interrupts-not-assisted", "path", $"The host does not virtualize the APIC: {missing.Title.TrimEnd('.')}. So the vCPU leaves the guest for every interrupt, whatever CPU takes it.",
                missing.Remedy ?? "Choose injected or best.");
        if (request.Vector is not null && request.Device is null)
        {
            mistakes.Add("vector", "A vector needs its device.", "Name the device too.");
            mistakes.Add("device", "The device of the vector is not named.");
        }
        if (request.Vector is < 0 or >= MostVectors)
            mistakes.Add("vector", $"Vector {request.Vector} is not between 0 and {MostVectors - 1}.");
        mistakes.Throw("switch-invalid", "The switch cannot be thrown.");
    }

    /// <summary>The positions after the newest, which makes those moot that it covers.</summary>
    public static IReadOnlyList<InterruptSwitch> With(IReadOnlyList<InterruptSwitch> before, InterruptSwitch newest)
    {
        if (newest.Device is null)
            return [newest];
        return [.. before.Where(s => s.Device != newest.Device || (newest.Vector is not null && s.Vector != newest.Vector)), newest];
    }
}
