using System.Text.Json;
using Exitless.Vmm.Devices;

namespace Exitless.Vmm.Control;

/// <summary>One launch, from the request to its outcome, on a thread of its own: pinning much memory or resetting a device takes seconds, in which other clients are served.</summary>
internal sealed class VmLaunch
{
    private readonly VmmDescriptors _descriptors;
    private readonly MachineLauncher _launcher;
    private readonly ConsoleRing _console;
    private readonly Action _wake;
    private bool _done;

    /// <summary>Begins the launch.</summary>
    /// <param name="connection">The client that asked for it.</param>
    /// <param name="frame">Its request; its descriptors belong to the launch unless this throws.</param>
    /// <param name="launcher">Builds the machine.</param>
    /// <param name="console">Where the guest's console output goes.</param>
    /// <param name="wake">Called from any thread when <see cref="Done"/> or the machine's outcome is set.</param>
    /// <exception cref="VmmProblemException">vmm-protocol: the wrong descriptors came.</exception>
    public VmLaunch(ControlConnection connection, Frame frame, MachineLauncher launcher, ConsoleRing console, Action wake)
    {
        Config = JsonSerializer.Deserialize(frame.Payload.Span, ControlJson.Default.VmConfig)!;
        _descriptors = DescriptorOrder.Sort(Config, frame.Descriptors);
        Connection = connection;
        Request = frame.RequestId;
        _launcher = launcher;
        _console = console;
        _wake = wake;
        new Thread(Run) { IsBackground = true, Name = "launch" }.Start();
    }

    public VmConfig Config { get; }

    public ControlConnection Connection { get; }

    public uint Request { get; }

    /// <summary>True once one of <see cref="Machine"/> and <see cref="Problem"/> is set for good.</summary>
    public bool Done => Volatile.Read(ref _done);

    public IMachine? Machine { get; private set; }

    public ConsoleLog? Log { get; private set; }

    public VmmProblemException? Problem { get; private set; }

    private void Run()
    {
        try
        {
            if (Config.ConsoleLogPath.Length > 0)
                Log = new ConsoleLog(Config.ConsoleLogPath);
            Machine = _launcher(Config, _descriptors, _console, _wake);
        }
        catch (VmmProblemException problem)
        {
            Problem = problem;
        }
        catch (Exception e)
        {
            // Whatever went wrong must reach the client in words and not end the process.
            Problem = new VmmProblemException("launch-failed", "The VM could not be launched.", e.Message, "Look up the failed call in the host's kernel log.", innerException: e);
        }
        if (Problem is not null)
        {
            Log?.Dispose();
            _descriptors.Dispose();
        }
        Volatile.Write(ref _done, true);
        _wake();
    }
}
