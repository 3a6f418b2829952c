using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Control;

/// <summary>What the agent opens for devices and passes along. Disposing closes all of them here; the VMM has its own copies.</summary>
public sealed class DeviceDescriptors : IDisposable
{
    /// <summary>/dev/vfio/vfio, freshly opened; null if the VM has a container already.</summary>
    public SafeFileHandle? Container { get; init; }

    /// <summary>/dev/vfio/N by N, for the groups of which the VM has no device yet.</summary>
    public IReadOnlyDictionary<int, SafeFileHandle> Groups { get; init; } = new Dictionary<int, SafeFileHandle>();

    /// <inheritdoc />
    public void Dispose()
    {
        Container?.Dispose();
        foreach (var group in Groups.Values)
            group.Dispose();
    }
}
