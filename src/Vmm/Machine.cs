using Exitless.Linux;
using Exitless.Vmm.Control;
using Exitless.Vmm.Devices;
using Exitless.Vmm.Vfio;
using Exitless.Vmm.Virtio;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm;

/// <summary>A machine that runs: its vCPU threads and what the control socket may do with it.</summary>
internal sealed class Machine : IMachine
{
    private readonly MachineParts _parts;
    private readonly Action _ended;
    private readonly List<VcpuThread> _threads = [];
    private readonly VcpuGate _gate;
    private readonly RestartLimit _limit = new(TimeProvider.System);
    private VmRestart? _lastRestart;
    private bool _paused;
    private int _running;
    private bool _allLeft;

    public Machine(MachineParts parts, Action ended)
    {
        _parts = parts;
        _ended = ended;
        _gate = new VcpuGate(parts.Vcpus.Count, parts.End, KickAll, Restart);
    }

    public (VmEndReason Reason, string Text)? Outcome => Volatile.Read(ref _allLeft) ? _parts.End.First : null;

    public VmRestart? LastRestart => Volatile.Read(ref _lastRestart);

    public bool IsPaused => _paused;

    public SafeFileHandle VmStatistics => _parts.VmStatistics;

    public IReadOnlyList<SafeFileHandle> VcpuStatistics => _parts.VcpuStatistics;

    /// <summary>Lets the guest run, once the threads of all vCPUs are there.</summary>
    /// <exception cref="VmmProblemException">cpu-unavailable; no vCPU has run. The caller disposes.</exception>
    public void Start()
    {
        _running = _parts.Vcpus.Count;
        for (var i = 0; i < _parts.Vcpus.Count; i++)
            _threads.Add(new VcpuThread(i, _parts.Vcpus[i], _parts.Ports, _parts.Mmio, _parts.End, _gate, i < _parts.VcpuCpus.Count ? _parts.VcpuCpus[i] : null, VcpuLeft));
        foreach (var thread in _threads)
            thread.Start();
        _gate.Open();
    }

    public void PressPowerButton() => _parts.PowerButton.Signal();

    public void End()
    {
        _parts.End.AskForGood(VmEndReason.Killed, "The VM was ended from outside.");
        _gate.Wake();
        KickAll();
    }

    public IMachineDevices Devices => _parts.Devices;

    public void Pause()
    {
        _gate.Hold();
        KickAll();
        _gate.WaitUntilAllAreHere();
        _paused = true;
    }

    public void Resume()
    {
        if (!_paused)
            return;
        _paused = false;
        foreach (var vcpu in _parts.Vcpus)
            vcpu.TellPaused();
        _gate.Open();
    }

    public bool TryWriteConsole(ReadOnlySpan<byte> data) => _parts.VirtioConsole is { IsOpen: true } console ? console.TryReceive(data) : _parts.Serial.TryReceive(data);

    public List<DeviceVectors> TakeVectors() => _parts.Devices.TakeVectors(_parts.Topology);

    public List<VcpuLook> Look()
    {
        // Not Pause and Resume: the guest's watchdogs are not to be told that it stood still, which they may be about to find.
        _gate.Hold();
        KickAll();
        _gate.WaitUntilAllAreHere();
        try
        {
            return [.. _parts.Vcpus.Select((vcpu, index) => vcpu.Look(index))];
        }
        finally
        {
            if (!_paused)
                _gate.Open();
        }
    }

    public VmmResources TakeResources(VmmResources process) => process with
    {
        Gsis = _parts.Routes.Taken,
        MemorySlots = _parts.Slots.Taken,
        DmaMappingsLeft = _parts.Devices.Set.MappingsLeft,
        Iommufd = _parts.Space.IsIommufd,
    };

    public void Dispose()
    {
        End();
        foreach (var thread in _threads)
            thread.Join();
        _parts.Dispose();
    }

    /// <summary>Called by a vCPU's thread, while the others wait.</summary>
    private void Restart()
    {
        var (reason, text) = _parts.End.Restart!.Value;
        if (!_limit.Allow())
        {
            _parts.End.AskForGood(reason, $"{text} It did so {RestartLimit.MostQuick + 1} times, each within {RestartLimit.Quick.TotalSeconds:0} s of its start.");
            return;
        }
        try
        {
            _parts.Restart!.Run();
        }
        catch (Exception e)
        {
            // Without all of its parts as they were the guest cannot go on; that must be said, and not end the process.
            _parts.End.AskForGood(VmEndReason.Error, $"The guest could not be started again: {e.Message}");
            return;
        }
        _limit.Started();
        Volatile.Write(ref _lastRestart, new VmRestart((_lastRestart?.Count ?? 0) + 1, reason, text, TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds()));
        _ended();
    }

    private void VcpuLeft()
    {
        if (Interlocked.Decrement(ref _running) != 0)
            return;
        Volatile.Write(ref _allLeft, true);
        _ended();
    }

    private void KickAll()
    {
        foreach (var thread in _threads)
            thread.Kick();
    }
}

/// <summary>Everything that a machine is made of; disposing releases it in the reverse order of its making.</summary>
internal sealed class MachineParts : IDisposable
{
    public required DisposeStack Owned { get; init; }

    public required GuestEnd End { get; init; }

    public required PortBus Ports { get; init; }

    public required MmioBus Mmio { get; init; }

    public required SerialPort Serial { get; init; }

    public VirtioConsole? VirtioConsole { get; init; }

    public required EventFd PowerButton { get; init; }

    public required IReadOnlyList<Kvm.KvmVcpu> Vcpus { get; init; }

    /// <summary>Starts the guest again; null for a machine that ends when its guest resets.</summary>
    public required GuestRestart? Restart { get; init; }

    public required Kvm.CpuTopology Topology { get; init; }

    public required IReadOnlyList<int> VcpuCpus { get; init; }

    public required SafeFileHandle VmStatistics { get; init; }

    public required IReadOnlyList<SafeFileHandle> VcpuStatistics { get; init; }

    public required MachineDevices Devices { get; init; }

    public required ChosenSpace Space { get; init; }

    public required Interrupts.GsiRoutes Routes { get; init; }

    public required Memory.MemorySlotNumbers Slots { get; init; }

    public void Dispose() => Owned.Dispose();
}
