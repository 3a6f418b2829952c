using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Control;

/// <summary>A running VM as the control socket sees it. Members may be called from the control thread only; the guest runs on threads of its own.</summary>
internal interface IMachine : IDisposable
{
    /// <summary>How the guest ended, once all its vCPU threads have left the guest; null before.</summary>
    (VmEndReason Reason, string Text)? Outcome { get; }

    /// <summary>The latest new start of the guest; null if there was none.</summary>
    VmRestart? LastRestart { get; }

    bool IsPaused { get; }

    SafeFileHandle VmStatistics { get; }

    IReadOnlyList<SafeFileHandle> VcpuStatistics { get; }

    void PressPowerButton();

    /// <summary>On return no vCPU runs. Devices go on.</summary>
    void Pause();

    /// <summary>Lets the vCPUs run again.</summary>
    void Resume();

    /// <summary>Asks the vCPUs to leave the guest for good.</summary>
    void End();

    /// <summary>Gives bytes to the serial port's receiver; false, and nothing taken, if there is no room for all.</summary>
    bool TryWriteConsole(ReadOnlySpan<byte> data);

    List<DeviceVectors> TakeVectors();

    /// <summary>Stops the vCPUs for a moment and looks at each.</summary>
    List<VcpuLook> Look();

    /// <summary>Adds the machine's part to what the process holds.</summary>
    VmmResources TakeResources(VmmResources process);

    /// <summary>The assigned devices; null for a machine that can have none.</summary>
    IMachineDevices? Devices => null;
}

/// <summary>Builds and starts a VM. Owns the descriptors from the moment of the call. Failure throws and leaves nothing behind.</summary>
/// <param name="config">What to launch.</param>
/// <param name="descriptors">What was passed with it.</param>
/// <param name="console">Where the guest's console output goes.</param>
/// <param name="ended">Called, from any thread, when <see cref="IMachine.Outcome"/> or <see cref="IMachine.LastRestart"/> is set, or something happened to a device.</param>
internal delegate IMachine MachineLauncher(VmConfig config, VmmDescriptors descriptors, Devices.ConsoleRing console, Action ended);
