using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Control;

/// <summary>
/// Descriptors of KVM's binary statistics (KVM_GET_STATS_FD), opened before the first KVM_RUN and readable from any process with
/// <see cref="Linux.KvmStatistics"/>.
/// </summary>
public sealed class VmmStatistics : IDisposable
{
    /// <summary>Statistics of the VM.</summary>
    public required SafeFileHandle Vm { get; init; }

    /// <summary>Statistics of each vCPU, by its index.</summary>
    public required IReadOnlyList<SafeFileHandle> Vcpus { get; init; }

    /// <inheritdoc />
    public void Dispose()
    {
        Vm.Dispose();
        foreach (var vcpu in Vcpus)
            vcpu.Dispose();
    }
}
