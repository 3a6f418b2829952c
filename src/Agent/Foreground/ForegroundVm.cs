using System.Runtime.InteropServices;
using Exitless.Agent.Events;
using Exitless.Agent.Interrupts;
using Exitless.Agent.Inventory;
using Exitless.Agent.Machines;
using Exitless.Agent.Sriov;
using Exitless.Contracts;
using Exitless.Linux;
using Exitless.Vmm.Control;

namespace Exitless.Agent.Foreground;

/// <summary>One VM of this terminal: started as the daemon starts its own, without a control plane. What was taken from the host is given back at the end.</summary>
internal sealed class ForegroundVm : IDisposable
{
    private const PosixSignal TellStatistics = (PosixSignal)10;   // SIGUSR1
    private readonly BootSpec _spec;
    private readonly BootOptions _options;
    private readonly TimeProvider _time;
    private readonly HostRoot _root = HostRoot.Machine;
    private readonly VmmLauncher _launcher;
    private readonly DevicePreparer _devices;
    private readonly VmStarter _starter;
    private readonly Preflight _preflight;
    private readonly Stream _output = Console.OpenStandardOutput();
    private readonly Lock _outputGate = new();
    private readonly CancellationTokenSource _asked = new();
    private readonly CancellationTokenSource _askedTwice = new();
    private StatisticsLine? _statistics;
    private RunningVm? _running;
    private bool _atLineStart = true;

    public ForegroundVm(BootSpec spec, BootOptions options, TimeProvider time)
    {
        (_spec, _options, _time) = (spec, options, time);
        var (root, netlink, claims) = (_root, new KernelRtnetlink(), new DeviceClaims());
        var macs = new VfMacReader(root, netlink);
        _launcher = new VmmLauncher(VmmLauncher.ProgramBeside(Environment.ProcessPath!), options.RunFolder, root, time, options.Socket);
        _devices = new DevicePreparer(new VfMac(root, netlink), new VfioBinding(root), new EventLog(new AsyncSignal(), time), () => { });
        _preflight = new Preflight(root, new ImageFolder(options.RunFolder), claims, new DeviceUseReader(root, netlink, () => [], () => claims.Addresses), macs);
        _starter = new VmStarter(_preflight, claims, new CpuClaims(), _devices, _launcher, root, options.Vfio);
    }

    private string Id => _spec.Wanted.VmId;

    /// <summary>Runs the VM to its end.</summary>
    /// <returns>0: the guest switched itself off. 2: it ended in another way.</returns>
    /// <exception cref="ProblemException">It could not be started; nothing is left of the attempt.</exception>
    public async Task<int> RunAsync()
    {
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        using var hangUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, Stop);
        using var pause = PosixSignalRegistration.Create(PosixSignal.SIGTSTP, c => Ask(c, "paused; SIGCONT lets it run on", r => r.Client.PauseAsync(_askedTwice.Token)));
        using var resume = PosixSignalRegistration.Create(PosixSignal.SIGCONT, c => Ask(c, "runs on", r => r.Client.ResumeAsync(_askedTwice.Token)));
        using var tell = PosixSignalRegistration.Create(TellStatistics, Tell);
        IReadOnlyList<BoundDevice> taken = [];
        var running = await _starter.StartAsync(
            _spec.Wanted, Plan, ConfigOf, new StepList(_time, TellStep), (planned, _) => taken = planned,
            _ => { }, _asked.Token);
        try
        {
            _statistics = new StatisticsLine(await running.Client.TakeStatisticsAsync(CancellationToken.None));
            Volatile.Write(ref _running, running);
            using var ended = new CancellationTokenSource();
            var typing = TerminalInput.TypeAsync(Console.OpenStandardInput(), running.Client, _time, ended.Token);
            var stopping = StopAsync(running, ended.Token);
            var end = await FollowAsync(running);
            await ended.CancelAsync();
            await stopping;
            await TellEndAsync(running, end);
            return end.Reason == VmEndReason.PowerOff ? 0 : 2;
        }
        finally
        {
            Volatile.Write(ref _running, null);
            await running.EndAsync();
            await running.DisposeAsync();
            _launcher.Forget(Id);
            _devices.Release(taken, Id);
            _spec.Vsock?.Remove();
        }
    }

    public void Dispose()
    {
        _statistics?.Dispose();
        _asked.Dispose();
        _askedTwice.Dispose();
    }

    private LaunchPlan Plan()
    {
        if (_spec.Taps.Count > 0)
            PlannedTap.CheckHost(_root);
        return _preflight.Check(_spec.Wanted, _spec.KernelPath, _spec.InitrdPath) with { Disks = _spec.Disks, Taps = _spec.Taps, Vsock = _spec.Vsock };
    }

    private VmConfig ConfigOf(LaunchPlan plan) => _spec.Config with
    {
        Devices = [.. _spec.Config.Devices.Zip(plan.Devices, (device, planned) => device with { IommuGroup = planned.Group })],
    };

    private async Task<VmEnd> FollowAsync(RunningVm running)
    {
        try
        {
            await foreach (var happening in running.Client.EventsAsync(CancellationToken.None))
            {
                if (happening is VmmEnded ended)
                    return ended.End;
                if (happening is VmmConsoleOutput output)
                    Write(output.Data.Span);
                else if (happening is VmmDeviceEvent device)
                    Say($"device={device.Address} change={device.Change} {device.Text}");
                else if (happening is VmmRestarted { Restart: var restart })
                    Say($"restart={restart.Count} reason={restart.Reason} {restart.Text}");
            }
        }
        catch (Exception e) when (e is IOException or VmmProblemException)
        {
            // Its process has gone, or went too early to be followed: how, is known elsewhere.
        }
        return await running.Ended;
    }

    /// <summary>Waits until somebody wants the VM to stop, and sees to it.</summary>
    private async Task StopAsync(RunningVm running, CancellationToken ended)
    {
        try
        {
            using var first = CancellationTokenSource.CreateLinkedTokenSource(_asked.Token, ended);
            await ((Task)Task.Delay(Timeout.InfiniteTimeSpan, first.Token)).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (ended.IsCancellationRequested)
                return;
            Say($"the power button is pressed; the guest has {_options.StopLimit.TotalSeconds:0} s. Once more ends it at once.");
            await running.Client.PowerButtonAsync(ended);
            using var second = CancellationTokenSource.CreateLinkedTokenSource(_askedTwice.Token, ended);
            await Task.Delay(_options.StopLimit, _time, second.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (!ended.IsCancellationRequested)
                await running.Client.EndAsync(ended);
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or VmmProblemException)
        {
            // It has ended meanwhile.
        }
    }

    private void Stop(PosixSignalContext context)
    {
        context.Cancel = true;
        (_asked.IsCancellationRequested ? _askedTwice : _asked).Cancel();
    }

    private void Ask(PosixSignalContext context, string done, Func<RunningVm, Task> ask)
    {
        context.Cancel = true;
        if (Volatile.Read(ref _running) is { } running)
            _ = AskAsync();

        async Task AskAsync()
        {
            try
            {
                await ask(running);
                Say(done);
            }
            catch (Exception e) when (e is IOException or OperationCanceledException or VmmProblemException or ObjectDisposedException)
            {
                // It has ended meanwhile.
            }
        }
    }

    private void Tell(PosixSignalContext context)
    {
        context.Cancel = true;
        if (_options.Json && Volatile.Read(ref _running) is { } running)
            _ = TellAsync(running, null);
    }

    private async Task TellEndAsync(RunningVm running, VmEnd end)
    {
        if (_options.Json)
            await TellAsync(running, end);
        Say($"end={end.Reason} {end.Text}");
    }

    private async Task TellAsync(RunningVm running, VmEnd? end)
    {
        VmmResources? resources = null;
        try
        {
            resources = await running.Client.TakeResourcesAsync(CancellationToken.None);
        }
        catch (Exception e) when (e is IOException or VmmProblemException or ObjectDisposedException)
        {
            // The process has gone, or is older than the question.
        }
        try
        {
            WriteLine(_statistics!.Read(running.ProcessId, end, resources));
        }
        catch (ObjectDisposedException)
        {
            // The VM has ended since.
        }
    }

    private void TellStep(IReadOnlyList<Step> steps)
    {
        if (steps[^1] is { State: not StepState.Running } step)
            Say($"{step.Name}{(step.State == StepState.Done ? "" : " failed")}{(step.Detail.Length > 0 ? $": {step.Detail}" : "")}");
    }

    private static void Say(string text) => Console.Error.WriteLine($"exitless-agent: {text}");

    // A line of ours never begins in the middle of one of the guest's.
    private void WriteLine(string text)
    {
        lock (_outputGate)
            Write(System.Text.Encoding.UTF8.GetBytes((_atLineStart ? "" : "\n") + text + "\n"));
    }

    private void Write(ReadOnlySpan<byte> bytes)
    {
        lock (_outputGate)
        {
            _output.Write(bytes);
            _output.Flush();
            if (bytes.Length > 0)
                _atLineStart = bytes[^1] == '\n';
        }
    }
}
