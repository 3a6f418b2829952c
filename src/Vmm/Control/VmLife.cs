using Exitless.Vmm.Devices;

namespace Exitless.Vmm.Control;

/// <summary>The one VM of this process, from its launch to its end. For the control thread alone.</summary>
internal sealed class VmLife(ConsoleRing console, MachineLauncher launcher, TimeProvider time, Action wake) : IDisposable
{
    private VmConfig? _config;
    private IMachine? _machine;
    private VmLaunch? _launch;
    private VmRestart? _lastRestart;
    private long _startedAt;

    public VmmState State => _machine is not null ? VmmState.Running : End is not null ? VmmState.Ended : VmmState.Empty;

    /// <summary>How the guest ended; null until it has.</summary>
    public VmEnd? End { get; private set; }

    /// <summary>The console's log file while the guest runs; null without one.</summary>
    public ConsoleLog? Log { get; private set; }

    /// <summary>True while nothing runs and nothing is being launched.</summary>
    public bool IsIdle => _launch is null && _machine is null;

    public VmmHello Hello => new()
    {
        Protocol = VmmClient.Protocol,
        ProcessId = Environment.ProcessId,
        State = State,
        VmId = _config?.VmId ?? Guid.Empty,
        StartedAt = _startedAt,
        Config = _config,
        Collections = GC.CollectionCount(0),
        End = End,
        Paused = _machine?.IsPaused ?? false,
        LastRestart = LastRestart,
    };

    /// <summary>The guest's latest new start; null if there was none.</summary>
    public VmRestart? LastRestart => _machine?.LastRestart ?? _lastRestart;

    /// <summary>The machine.</summary>
    /// <exception cref="VmmProblemException">vm-not-running.</exception>
    public IMachine Running => _machine ?? throw new VmmProblemException(
        "vm-not-running", "The VM does not run.", End is null ? "It has not been launched." : $"It ended: {End.Text}", "Start the VM.");

    /// <summary>What the process holds now.</summary>
    public VmmResources Resources
    {
        get
        {
            var process = new VmmResources(GC.CollectionCount(0), GC.GetTotalAllocatedBytes());
            return _machine?.TakeResources(process) ?? process;
        }
    }

    /// <summary>Begins the launch; <see cref="TakeLaunched"/> tells how it went.</summary>
    /// <exception cref="VmmProblemException">vm-already-launched, vmm-protocol.</exception>
    public void Launch(ControlConnection connection, Frame frame)
    {
        if (_launch is not null || State != VmmState.Empty)
            throw new VmmProblemException("vm-already-launched", "This process has its VM already.", $"Its state is {(_launch is null ? State : "Launching")}.", "Start another process for another VM.");
        _launch = new VmLaunch(connection, frame, launcher, console, wake);
    }

    /// <summary>A launch that has just come to its end, well or not; null if there is none.</summary>
    public VmLaunch? TakeLaunched()
    {
        if (_launch is not { Done: true } launch)
            return null;
        _launch = null;
        if (launch.Problem is null)
        {
            _config = launch.Config;
            _machine = launch.Machine;
            Log = launch.Log;
            _startedAt = time.GetUtcNow().ToUnixTimeMilliseconds();
        }
        return launch;
    }

    /// <summary>Takes a machine down whose guest has ended. Everything is released before anybody hears of the end, so that "ended" means that the devices are free.</summary>
    /// <returns>True if it has ended just now; the log stays open for the last of the console.</returns>
    public bool TakeEnded()
    {
        if (_machine?.Outcome is not { } outcome)
            return false;
        _lastRestart = _machine.LastRestart;
        _machine.Dispose();
        _machine = null;
        End = new VmEnd(outcome.Reason, outcome.Text, time.GetUtcNow().ToUnixTimeMilliseconds());
        return true;
    }

    /// <summary>The next thing that happened to a device; null if there is none.</summary>
    public VmmDeviceEvent? TakeDeviceEvent() => _machine?.Devices?.TakeEvent();

    /// <summary>Closes the console's log, once it has the guest's last words.</summary>
    public void CloseLog()
    {
        Log?.Dispose();
        Log = null;
    }

    /// <summary>Asks the guest's vCPUs to leave for good, if there is a guest.</summary>
    public void EndGuest() => _machine?.End();

    public void Dispose()
    {
        _machine?.Dispose();
        Log?.Dispose();
    }
}
