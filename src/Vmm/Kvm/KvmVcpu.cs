using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Exitless.Linux;
using Exitless.Linux.Kvm;
using Exitless.Vmm.Control;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Kvm;

/// <summary>One vCPU of KVM: its registers before the first run, and the run itself.</summary>
internal sealed class KvmVcpu : IDisposable
{
    private readonly SafeFileHandle _handle;

    public KvmVcpu(SafeFileHandle handle, int pageBytes)
    {
        _handle = handle;
        Page = new KvmRunPage(handle, pageBytes);
    }

    public KvmRunPage Page { get; }

    /// <summary>Runs the guest until it needs this process. Allocates nothing.</summary>
    /// <returns>0, or the error number; <see cref="Errno.Interrupted"/> after a kick.</returns>
    public int Run() => Ioctl.Try(_handle, KvmRequests.Run) < 0 ? Ioctl.LastError : 0;

    public KvmRegisters GetRegisters()
    {
        var registers = default(KvmRegisters);
        Ioctl.Call(_handle, KvmRequests.GetRegisters, "KVM_GET_REGS", ref registers);
        return registers;
    }

    public void SetRegisters(KvmRegisters registers) => Ioctl.Call(_handle, KvmRequests.SetRegisters, "KVM_SET_REGS", ref registers);

    public KvmSpecialRegisters GetSpecialRegisters()
    {
        var registers = default(KvmSpecialRegisters);
        Ioctl.Call(_handle, KvmRequests.GetSpecialRegisters, "KVM_GET_SREGS", ref registers);
        return registers;
    }

    public void SetSpecialRegisters(KvmSpecialRegisters registers) => Ioctl.Call(_handle, KvmRequests.SetSpecialRegisters, "KVM_SET_SREGS", ref registers);

    public void SetCpuid(ReadOnlySpan<KvmCpuidEntry> entries)
    {
        var buffer = new byte[8 + (entries.Length * Marshal.SizeOf<KvmCpuidEntry>())];
        BinaryPrimitives.WriteInt32LittleEndian(buffer, entries.Length);
        MemoryMarshal.AsBytes(entries).CopyTo(buffer.AsSpan(8));
        Ioctl.Call(_handle, KvmRequests.SetCpuid2, "KVM_SET_CPUID2", buffer);
    }

    public void SetMsrs(ReadOnlySpan<KvmMsrEntry> entries)
    {
        var set = TrySetMsrs(entries);
        if (set != entries.Length)
            throw new LinuxException($"KVM_SET_MSRS at MSR 0x{entries[set].Index:x}", Errno.Invalid);
    }

    /// <summary>As much of the listed registers as can be read.</summary>
    public List<KvmMsrEntry> GetMsrs(ReadOnlySpan<uint> indices)
    {
        var read = new List<KvmMsrEntry>();
        while (!indices.IsEmpty)
        {
            var buffer = MsrRequest(indices.Length);
            var entries = MemoryMarshal.Cast<byte, KvmMsrEntry>(buffer.AsSpan(8));
            for (var i = 0; i < indices.Length; i++)
                entries[i].Index = indices[i];
            var count = Ioctl.Call(_handle, KvmRequests.GetMsrs, "KVM_GET_MSRS", buffer);
            read.AddRange(entries[..count]);
            // The first that cannot be read is passed over.
            indices = indices[Math.Min(count + 1, indices.Length)..];
        }
        return read;
    }

    /// <summary>Writes registers.</summary>
    /// <returns>How many were written before the first that cannot be.</returns>
    public int TrySetMsrs(ReadOnlySpan<KvmMsrEntry> entries)
    {
        var buffer = MsrRequest(entries.Length);
        MemoryMarshal.AsBytes(entries).CopyTo(buffer.AsSpan(8));
        return Ioctl.Call(_handle, KvmRequests.SetMsrs, "KVM_SET_MSRS", buffer);
    }

    /// <summary>A get or set request of a plain structure.</summary>
    public void Call(uint request, string name, Span<byte> structure) => Ioctl.Call(_handle, request, name, structure);

    /// <summary>Looks at the vCPU, which must not run.</summary>
    public VcpuLook Look(int index)
    {
        const int runnable = 0, halted = 3;
        const uint deadline = 0x6e0, interruptsOn = 1 << 9;
        Span<byte> registers = stackalloc byte[LocalApicPage.Bytes];
        Span<byte> state = stackalloc byte[4];
        Call(KvmRequests.GetLapic, "KVM_GET_LAPIC", registers);
        Call(KvmRequests.GetMpState, "KVM_GET_MP_STATE", state);
        var page = new LocalApicPage(registers);
        var run = BinaryPrimitives.ReadInt32LittleEndian(state);
        var (rip, flags) = GetRegisters() is var general ? (general.Rip, general.Rflags) : default;
        return new VcpuLook(index, run is runnable or halted, run == halted, rip, (flags & interruptsOn) != 0, page.TimerArmed(GetMsrs([deadline]) is [{ Value: var at }] ? at : 0), page.HighestRequested, page.HighestInService);
    }

    /// <summary>Tells the guest's clock that the vCPU was stopped, so that its watchdogs do not bark (KVM_KVMCLOCK_CTRL). A guest without that clock is told nothing.</summary>
    public void TellPaused() => Ioctl.Try(_handle, KvmRequests.KvmclockPaused);

    /// <summary>The signals that are blocked while the guest runs, in place of the thread's own mask.</summary>
    public void SetSignalMask(ulong blocked)
    {
        Span<byte> request = stackalloc byte[12];
        BinaryPrimitives.WriteInt32LittleEndian(request, 8);
        BinaryPrimitives.WriteUInt64LittleEndian(request[4..], blocked);
        Ioctl.Call(_handle, KvmRequests.SetSignalMask, "KVM_SET_SIGNAL_MASK", request);
    }

    /// <summary>Must come before the first run: KVM holds the vCPU's lock while the guest runs.</summary>
    public SafeFileHandle OpenStatistics() => new(Ioctl.Call(_handle, KvmRequests.GetStatisticsFd, "KVM_GET_STATS_FD"), ownsHandle: true);

    public void Dispose()
    {
        Page.Dispose();
        _handle.Dispose();
    }

    private static byte[] MsrRequest(int count)
    {
        var buffer = new byte[8 + (count * Marshal.SizeOf<KvmMsrEntry>())];
        BinaryPrimitives.WriteInt32LittleEndian(buffer, count);
        return buffer;
    }
}
