namespace Exitless.Vmm.Control;

/// <summary>The MSI-X vectors of one assigned device.</summary>
/// <param name="Address">The device's address on the host.</param>
/// <param name="TableSize">How many vectors its table has.</param>
/// <param name="Vectors">Those that the guest has unmasked at least once since it enabled MSI-X, so that the host has them too.</param>
public sealed record DeviceVectors(string Address, int TableSize, IReadOnlyList<VectorInfo> Vectors);

/// <summary>One MSI-X vector in use.</summary>
/// <param name="Index">Its index in the table; <c>vfio-msix[index](address)</c> in the host's /proc/interrupts.</param>
/// <param name="Gsi">The KVM GSI whose only route is this vector's message.</param>
/// <param name="Masked">True while the guest has it masked, by its own bit or by the function's.</param>
/// <param name="Pending">True if it fired while it was masked.</param>
public sealed record VectorInfo(int Index, int Gsi, bool Masked, bool Pending);
