using System.Buffers.Binary;
using Exitless.Linux.Kvm;

namespace Exitless.Vmm.Kvm;

/// <summary>
/// All of a vCPU's state that a guest can change and KVM lets out (Documentation/virt/kvm/api.rst), taken before the first run and put back when the guest
/// starts again. The time stamp counter goes on, in step on all vCPUs.
/// </summary>
internal sealed class VcpuState
{
    private const uint TimeStampCounter = 0x10;
    private readonly KvmRegisters _registers;
    private readonly KvmSpecialRegisters _special;
    private readonly KvmMsrEntry[] _msrs;
    private readonly byte[] _lapic = new byte[1024], _events = new byte[64], _debug = new byte[128], _xcrs = new byte[392], _runState = new byte[4];
    private readonly byte[] _xsave;
    private readonly byte[]? _nested;

    /// <summary>Takes the state.</summary>
    /// <param name="kvm">Tells what there is.</param>
    /// <param name="vcpu">A vCPU that does not run.</param>
    public VcpuState(KvmSystem kvm, KvmVcpu vcpu)
    {
        _registers = vcpu.GetRegisters();
        _special = vcpu.GetSpecialRegisters();
        _msrs = Writable(vcpu, vcpu.GetMsrs(kvm.MsrIndices()));
        vcpu.Call(KvmRequests.GetLapic, "KVM_GET_LAPIC", _lapic);
        vcpu.Call(KvmRequests.GetVcpuEvents, "KVM_GET_VCPU_EVENTS", _events);
        vcpu.Call(KvmRequests.GetDebugRegisters, "KVM_GET_DEBUGREGS", _debug);
        vcpu.Call(KvmRequests.GetXcrs, "KVM_GET_XCRS", _xcrs);
        vcpu.Call(KvmRequests.GetMpState, "KVM_GET_MP_STATE", _runState);
        var large = kvm.CheckExtension(KvmCapabilities.Xsave2);
        _xsave = new byte[Math.Max(large, 4096)];
        vcpu.Call(large > 0 ? KvmRequests.GetXsave2 : KvmRequests.GetXsave, "KVM_GET_XSAVE", _xsave);
        if (kvm.CheckExtension(KvmCapabilities.NestedState) is var bytes and > 0)
        {
            _nested = new byte[bytes];
            BinaryPrimitives.WriteInt32LittleEndian(_nested.AsSpan(4), bytes);
            vcpu.Call(KvmRequests.GetNestedState, "KVM_GET_NESTED_STATE", _nested);
        }
    }

    /// <summary>Puts the state back.</summary>
    /// <param name="vcpu">The same vCPU; it is not in the guest, and what it had begun is completed.</param>
    public void PutBack(KvmVcpu vcpu)
    {
        // A nested guest is left first: in it, the registers would be the nested guest's.
        if (_nested is not null)
            vcpu.Call(KvmRequests.SetNestedState, "KVM_SET_NESTED_STATE", _nested);
        vcpu.SetSpecialRegisters(_special);
        vcpu.Call(KvmRequests.SetLapic, "KVM_SET_LAPIC", _lapic);
        // Zero means "as the other vCPUs have it" to KVM.
        vcpu.SetMsrs([new KvmMsrEntry { Index = TimeStampCounter }, .. _msrs]);
        vcpu.Call(KvmRequests.SetXsave, "KVM_SET_XSAVE", _xsave);
        vcpu.Call(KvmRequests.SetXcrs, "KVM_SET_XCRS", _xcrs);
        vcpu.SetRegisters(_registers);
        vcpu.Call(KvmRequests.SetDebugRegisters, "KVM_SET_DEBUGREGS", _debug);
        vcpu.Call(KvmRequests.SetVcpuEvents, "KVM_SET_VCPU_EVENTS", _events);
        vcpu.Call(KvmRequests.SetMpState, "KVM_SET_MP_STATE", _runState);
    }

    /// <summary>Those that take the value that they have: a guest cannot have changed the others either.</summary>
    private static KvmMsrEntry[] Writable(KvmVcpu vcpu, List<KvmMsrEntry> all)
    {
        var rest = all.Where(m => m.Index != TimeStampCounter).ToArray().AsSpan();
        var good = new List<KvmMsrEntry>();
        while (!rest.IsEmpty)
        {
            var count = vcpu.TrySetMsrs(rest);
            good.AddRange(rest[..count]);
            rest = rest[Math.Min(count + 1, rest.Length)..];
        }
        return [.. good];
    }
}
