using System.Runtime.InteropServices;

namespace Exitless.Linux.Kvm;

/// <summary>A vCPU's shared page, struct kvm_run: why the guest was left, and what it wants. Reading it allocates nothing.</summary>
internal sealed unsafe class KvmRunPage(SafeHandle vcpu, int bytes) : IDisposable
{
    private readonly Mapping _mapping = Mapping.Share(vcpu, 0, (ulong)bytes);
    private readonly int _bytes = bytes;

    public KvmExit Exit => *(KvmExit*)(_mapping.Pointer + 8);

    /// <summary>While set, KVM_RUN leaves at once with EINTR (KVM_CAP_IMMEDIATE_EXIT).</summary>
    public bool ImmediateExit
    {
        set => Volatile.Write(ref *(_mapping.Pointer + 1), value ? (byte)1 : (byte)0);
    }

    public bool IoIsWrite => _mapping.Pointer[32] == 1;

    public int IoSize => _mapping.Pointer[33];

    public ushort IoPort => *(ushort*)(_mapping.Pointer + 34);

    public int IoCount => (int)*(uint*)(_mapping.Pointer + 36);

    /// <summary>The data of a port access: <see cref="IoCount"/> items of <see cref="IoSize"/> bytes.</summary>
    public Span<byte> IoData
    {
        get
        {
            var offset = *(ulong*)(_mapping.Pointer + 40);
            var length = (long)IoCount * IoSize;
            return offset > (ulong)_bytes || length > _bytes - (long)offset ? default : new Span<byte>(_mapping.Pointer + offset, (int)length);
        }
    }

    public ulong MmioAddress => *(ulong*)(_mapping.Pointer + 32);

    /// <summary>The data of a memory access, 1 to 8 bytes.</summary>
    public Span<byte> MmioData => new(_mapping.Pointer + 40, (int)Math.Min(8, *(uint*)(_mapping.Pointer + 48)));

    public bool MmioIsWrite => _mapping.Pointer[52] != 0;

    /// <summary>The first words of what KVM says about a failure or a system event: suberror, event type or hardware reason, then details.</summary>
    public ulong Detail(int index) => *(ulong*)(_mapping.Pointer + 32 + (index * 8));

    public void Dispose() => _mapping.Dispose();
}
