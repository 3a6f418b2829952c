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
    private readonly VcpuGate _gate;
    private readonly Action _left;
    private readonly int? _cpu;
    private readonly Thread _thread;
    private readonly Lock _kick = new();
    private readonly TaskCompletionSource _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _threadId;

    /// <param name="index">Which vCPU, from 0.</param>
    /// <param name="vcpu">The vCPU.</param>
    /// <param name="ports">Serves port accesses.</param>
    /// <param name="mmio">Serves memory accesses.</param>
    /// <param name="end">Takes the reasons for which the guest ends.</param>
    /// <param name="gate">Where the thread waits while the guest does not run.</param>
    /// <param name="cpu">The host CPU that it is pinned to; null: anywhere.</param>
    /// <param name="left">Called by the thread when it has left the guest for good.</param>
    public VcpuThread(int index, KvmVcpu vcpu, PortBus ports, MmioBus mmio, GuestEnd end, VcpuGate gate, int? cpu, Action left)
    {
        _index = index;
        _vcpu = vcpu;
        _ports = ports;
        _mmio = mmio;
        _end = end;
        _gate = gate;
        _left = left;
        _cpu = cpu;
        _thread = new Thread(Run) { Name = $"vcpu {index}" };
    }

    /// <summary>Starts the thread; on return it can be kicked, and the vCPU runs as soon as the gate opens.</summary>
    /// <exception cref="VmmProblemException">cpu-unavailable.</exception>
    public void Start()
    {
        _thread.Start();
        _ready.Task.GetAwaiter().GetResult();
    }

    /// <summary>Makes the thread leave the guest and look at the gate.</summary>
    public void Kick()
    {
        // Under the lock the thread is either still there, or has taken its number back.
        lock (_kick)
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
            lock (_kick)
                _threadId = CurrentThread.Id;
        }
        catch (Exception e)
        {
            _ready.SetException(e);
            return;
        }
        _ready.SetResult();
        do Serve();
        while (_gate.Pass());
        lock (_kick)
            _threadId = 0;
        CurrentThread.TakeSignal(KickSignal);
        _left();
    }

    /// <summary>Runs the guest until the gate is closed.</summary>
    private void Serve()
    {
        try
        {
            while (!_gate.Closed)
                RunOnce();
            if (_end.First is null)
                Settle();
        }
        catch (Exception e)
        {
            // A defect of ours must end this guest in words, not the process without any.
            _end.AskForGood(VmEndReason.Error, $"vCPU {_index}: {e.GetType().Name}: {e.Message}");
        }
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
            // Before the gate is looked at: a kick that comes now stays in force.
            _vcpu.Page.ImmediateExit = false;
            CurrentThread.TakeSignal(KickSignal);
            return;
        }
        if (error != 0)
        {
            if (error != Errno.Again)
                Fail(error);
            return;
        }
        Answer();
    }

    /// <summary>Lets KVM take the answer to the last exit in, without running the guest: otherwise it would do so after the registers have been put back.</summary>
    private void Settle()
    {
        // An access may come in several parts; one instruction has few.
        for (var parts = 0; parts < 64; parts++)
        {
            _vcpu.Page.ImmediateExit = true;
            var error = _vcpu.Run();
            if (error != 0)
            {
                if (error is not (Errno.Interrupted or Errno.Again))
                    Fail(error);
                break;
            }
            Answer();
        }
        _vcpu.Page.ImmediateExit = false;
        CurrentThread.TakeSignal(KickSignal);
    }

    private void Answer()
    {
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
