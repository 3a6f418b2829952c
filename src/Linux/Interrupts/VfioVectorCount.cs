namespace Exitless.Linux.Interrupts;

/// <summary>The count of one MSI-X vector that VFIO requested.</summary>
/// <param name="Function">See <see cref="VfioVectorName.PackAddress"/>.</param>
/// <param name="Vector">Its index in the function's table.</param>
/// <param name="Count">Interrupts on all CPUs since the vector was requested.</param>
public readonly record struct VfioVectorCount(uint Function, int Vector, long Count);
