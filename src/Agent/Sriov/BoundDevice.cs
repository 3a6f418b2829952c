namespace Exitless.Agent.Sriov;

/// <summary>A function that was taken from the host for a VM, and how to give it back. Written to disk before the function is touched.</summary>
/// <param name="PreviousDriver">Null: it had none.</param>
/// <param name="PreviousMac">The VF's MAC before; null: it was not changed.</param>
/// <param name="PfAddress">Of a VF whose MAC was changed.</param>
internal sealed record BoundDevice(string Address, string? PreviousDriver, string? PreviousMac, string? PfAddress, int VfIndex);
