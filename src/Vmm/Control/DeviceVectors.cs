namespace Exitless.Vmm.Control;

/// <summary>The interrupts of one assigned device.</summary>
/// <param name="Address">The device's address on the host.</param>
/// <param name="TableSize">How many vectors its MSI-X table has; without MSI-X, or while it uses MSI, how many MSI vectors it has.</param>
/// <param name="Vectors">Those that the guest has unmasked at least once since it enabled MSI-X, so that the host has them too.</param>
public sealed record DeviceVectors(string Address, int TableSize, IReadOnlyList<VectorInfo> Vectors)
{
    /// <summary>What the device uses now: <c>msi-x</c>, <c>msi</c>, <c>intx</c> or <c>none</c>.</summary>
    // An older VMM knew of nothing else, and did not say so.
    public string Kind { get => field ?? "msi-x"; init; }

    /// <summary>Its address in the guest, dddd:bb:dd.f.</summary>
    // An older VMM does not say it.
    public string? GuestAddress { get; init; }

    /// <summary>The pin of the IOAPIC while the device uses INTx; otherwise null.</summary>
    public int? PinGsi { get; init; }

    /// <summary>Vectors that the guest has open and that do not work, because a limit was hit.</summary>
    public int Refused { get; init; }

    /// <summary>Which limit was hit first, and how many vectors worked then; null if none was.</summary>
    public string? RefusedBecause { get; init; }
}

/// <summary>One vector in use.</summary>
/// <param name="Index">Its index in the table; <c>vfio-msix[index](address)</c> in the host's /proc/interrupts.</param>
/// <param name="Gsi">The KVM GSI whose only route is this vector's message.</param>
/// <param name="Masked">True while the guest has it masked, by its own bit or by the function's.</param>
/// <param name="Pending">True if it fired while it was masked.</param>
public sealed record VectorInfo(int Index, int Gsi, bool Masked, bool Pending)
{
    /// <summary>True if it is injected by the switch, not by what the host can do.</summary>
    public bool Injected { get; init; }

    /// <summary>The vCPU that takes it; null if it goes to several.</summary>
    public int? Vcpu { get; init; }
}
