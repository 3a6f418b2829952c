using Exitless.Linux;
using Exitless.Linux.Kvm;
using Exitless.Vmm.Control;
using Exitless.Vmm.Devices;
using Exitless.Vmm.Kvm;

namespace Exitless.Vmm;

/// <summary>
/// The thread of one vCPU: runs the guest and serves its exits, without allocating. It is made to leave by a real-time signal that is blocked
/// in the thread and open only inside KVM_RUN, which then gives EINTR; no handler ever runs.
/// </summary>
internal sealed class VcpuThread
{
    /// <summary>Not 34 (SIGRTMIN): the .NET runtime suspends threads with that one.</summary>
    private const int KickSignal = 40;

    private readonly int _index;
    private readonly KvmVcpu _vcpu;
    private readonly PortBus _ports;
    private readonly MmioBus _mmio;
    private readonly GuestEnd _end;
    private readonly Action _left;
    private readonly int? _cpu;
    private readonly Thread _thread;
    private readonly Lock _gate = new();
    private readonly TaskCompletionSource _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _threadId;

    public VcpuThread(int index, KvmVcpu vcpu, PortBus ports, MmioBus mmio, GuestEnd end, int? cpu, Action left)
    {
        _index = index;
        _vcpu = vcpu;
        _ports = ports;
        _mmio = mmio;
        _end = end;
        _left = left;
        _cpu = cpu;
        _thread = new Thread(Run) { Name = $"vcpu {index}" };
    }

    /// <summary>Starts the thread; on return it can be kicked, and the guest runs.</summary>
    public void Start()
    {
        _thread.Start();
        _ready.Task.GetAwaiter().GetResult();
    }

    /// <summary>Makes the thread leave the guest and look at <see cref="GuestEnd.Asked"/>. For ever: the vCPU does not run again.</summary>
    public void Kick()
    {
        // Under the lock the thread is either still there, or has taken its number back.
        lock (_gate)
        {
            if (_threadId == 0)
                return;
            _vcpu.Page.ImmediateExit = true;
            ThreadSignal.Send(_threadId, KickSignal);
        }
    }

    public void Join()
    {
        if (_thread.ThreadState != ThreadState.Unstarted)
            _thread.Join();
    }

    private void Run()
    {
        try
        {
            var blocked = CurrentThread.BlockSignal(KickSignal);
            _vcpu.SetSignalMask(blocked & ~(1UL << (KickSignal - 1)));
            if (_cpu is { } cpu)
                Pin(cpu);
            lock (_gate)
                _threadId = CurrentThread.Id;
        }
        catch (Exception e)
        {
            _ready.SetException(e);
            return;
        }
        _ready.SetResult();
        try
        {
            while (!_end.Asked)
                RunOnce();
        }
        catch (Exception e)
        {
            // A defect of ours must end this guest in words, not the process without any.
            _end.Ask(VmEndReason.Error, $"vCPU {_index}: {e.GetType().Name}: {e.Message}");
        }
        lock (_gate)
            _threadId = 0;
        CurrentThread.TakeSignal(KickSignal);
        _left();
    }

    private void Pin(int cpu)
    {
        try
        {
            CurrentThread.SetAffinity([cpu]);
        }
        catch (Exception e) when (e is LinuxException or ArgumentOutOfRangeException)
        {
            throw new VmmProblemException("cpu-unavailable", "A vCPU cannot be pinned where it was asked to be.", $"vCPU {_index} cannot run on CPU {cpu}: {e.Message}.",
                "Choose CPUs that are online and in the cpuset of the VM's process.", "vcpuCpus", e);
        }
    }

    private void RunOnce()
    {
        var error = _vcpu.Run();
        if (error == Errno.Interrupted)
        {
            CurrentThread.TakeSignal(KickSignal);
            return;
        }
        if (error != 0)
        {
            if (error != Errno.Again)
                Fail(error);
            return;
        }
        var page = _vcpu.Page;
        switch (page.Exit)
        {
            case KvmExit.Io:
                _ports.Access(page.IoPort, page.IoSize, page.IoIsWrite, page.IoData);
                break;
            case KvmExit.Mmio:
                _mmio.Access(page.MmioAddress, page.MmioIsWrite, page.MmioData);
                break;
            case KvmExit.Interrupted:
                break;
            case KvmExit.Shutdown:
                _end.Ask(VmEndReason.TripleFault, $"vCPU {_index} ran into a triple fault at RIP 0x{Rip():x}.");
                break;
            case KvmExit.SystemEvent:
                SystemEvent((uint)page.Detail(0));
                break;
            default:
                Unexpected(page);
                break;
        }
    }

    private void Fail(int error) => _end.Ask(VmEndReason.Error, error == Errno.Fault
        ? $"vCPU {_index} touched guest memory at RIP 0x{Rip():x} that the host could not supply (out of memory, or a BAR of a device that has gone)."
        : $"vCPU {_index}: {new LinuxException("KVM_RUN", error).Message}.");

    private void SystemEvent(uint type)
    {
        const uint shutdown = 1, reset = 2;
        _end.Ask(type switch { shutdown => VmEndReason.PowerOff, reset => VmEndReason.Reset, _ => VmEndReason.Error }, $"KVM reported system event {type}.");
    }

    private void Unexpected(KvmRunPage page)
    {
        var what = page.Exit switch
        {
            KvmExit.FailEntry => $"the processor refused to enter the guest, reason 0x{page.Detail(0):x}",
            KvmExit.InternalError => $"KVM could not go on, suberror {(uint)page.Detail(0)}",
            KvmExit.Halt => "it halted for ever",
            _ => $"KVM left the guest for reason {(uint)page.Exit}, which this version does not know",
        };
        _end.Ask(VmEndReason.Error, $"vCPU {_index} at RIP 0x{Rip():x}: {what}.");
    }

    private ulong Rip() => _vcpu.GetRegisters().Rip;
}
