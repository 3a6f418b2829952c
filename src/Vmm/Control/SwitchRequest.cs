namespace Exitless.Vmm.Control;

/// <summary>Throws the switch between a device's best path into the guest and injection, while the guest runs.</summary>
/// <param name="Address">The device's address on the host; null: all devices, those to come among them.</param>
/// <param name="Vector">Its vector; null: all that it uses now.</param>
/// <param name="Injected">True: inject; false: the best path that the host has.</param>
internal sealed record SwitchRequest(string? Address, int? Vector, bool Injected);
