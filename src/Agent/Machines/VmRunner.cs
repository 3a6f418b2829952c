using Exitless.Contracts;
using Exitless.Vmm.Control;
using Microsoft.Extensions.Logging;

namespace Exitless.Agent.Machines;

/// <summary>Who wants to know that a VM runs or no longer does.</summary>
internal interface IVmWatcher
{
    Task StartedAsync(WantedVm vm, RunningVm running);

    void Ended(string vmId);

    /// <summary>The VM is gone for good.</summary>
    void Removed(string vmId);
}

/// <summary>
/// Brings one VM to its wanted state. One loop does everything in turn; a new wish or the guest's end wakes it. A start that failed stays failed until the VM's
/// generation changes; so does a guest that ended by itself, but for a reset, after which it is started again.
/// </summary>
internal sealed partial class VmRunner : IAsyncDisposable
{
    private readonly VmServices _services;
    private readonly string _bootId;
    private readonly AsyncSignal _wake = new();
    private readonly Lock _gate = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly EndJudge _ends = new();
    private readonly string _vmId;
    private readonly ObservedVm _observed;
    private volatile WantedVm? _wanted;
    private volatile bool _removed;
    private volatile RunningVm? _running;
    private VmRecord _record;
    private bool _gone;
    private Task _loop = Task.CompletedTask;

    public VmRunner(VmServices services, string vmId, VmRecord? record, string bootId)
    {
        (_services, _vmId, _bootId) = (services, vmId, bootId);
        _record = record ?? new VmRecord { VmId = vmId, BootId = bootId };
        _observed = new ObservedVm { VmId = vmId };
    }

    /// <summary>The VM's process; null: it does not run.</summary>
    public RunningVm? Running => _running;

    /// <summary>Finds the VM's process of an earlier agent, or clears up after it. Call once, before <see cref="Start"/>.</summary>
    public async Task AdoptAsync(CancellationToken stop)
    {
        if (_record.Phase == VmPhase.Idle)
        {
            Report(_record.Problem is null ? VmState.Stopped : VmState.Failed, _record.Problem?.ToProblem());
            return;
        }
        if (!string.Equals(_record.BootId, _bootId, StringComparison.Ordinal))
        {
            // The host was booted since: nothing of the run is left, and a VM that ran is started again.
            Save(_record with { Phase = VmPhase.Idle, Devices = [], Cpus = [], Generation = 0, BootId = _bootId, EndReason = "host-boot" });
            Report(VmState.Stopped, null);
            return;
        }
        _services.Claims.Take(_vmId, _record.Name, [.. _record.Devices.Select(d => d.Address)]);
        _services.Cpus.Restore(_vmId, _record.Cpus);
        RunningVm? found;
        try
        {
            found = await _services.Launcher.AdoptAsync(_vmId, _record.ProcessId, stop);
        }
        catch (ProblemException e)
        {
            _services.Events.Error("vmm-not-answering", e.Problem.Detail, _vmId);
            Report(VmState.Failed, e.Problem);
            return;
        }
        if (found?.Client.Hello.State == VmmState.Running)
        {
            found.Watch();
            var startedAt = _record.StartedAt > 0 ? _record.StartedAt : found.StartedAt;
            await RunsAsync(found, _record with { Phase = VmPhase.Running, ProcessId = found.ProcessId, StartedAt = startedAt }, null);
            _services.Events.Info("vm-adopted", $"{_record.Name} runs on: process {found.ProcessId}.", _vmId);
            Adopted(_services.Log, _record.Name, found.ProcessId);
            return;
        }
        var wasStarting = _record.Phase == VmPhase.Starting;
        var end = found?.Client.Hello.End;
        if (found is not null)
        {
            await found.EndAsync();
            await found.DisposeAsync();
        }
        if (wasStarting && end is null)
        {
            // The agent died between two steps of a start: take them back and let the wanted state decide again.
            Release();
            Save(_record with { Phase = VmPhase.Idle, Devices = [], Cpus = [], Generation = 0 });
            Report(VmState.Stopped, null);
            return;
        }
        HasEnded(end ?? new VmEnd(VmEndReason.Killed, "The VM's process ended while no agent ran.", _services.Time.GetUtcNow().ToUnixTimeMilliseconds()), asked: false);
    }

    /// <summary>Begins to follow the wanted state.</summary>
    public void Start() => _loop = RunAsync();

    /// <returns>False: the VM was removed and is gone; a new runner is needed.</returns>
    public bool TryWant(WantedVm wanted)
    {
        lock (_gate)
        {
            if (_gone)
                return false;
            (_wanted, _removed) = (wanted, false);
        }
        _wake.Set();
        return true;
    }

    /// <summary>The VM is no longer wanted at all: stop it and forget it.</summary>
    public void Remove()
    {
        _removed = true;
        _wake.Set();
    }

    /// <summary>Leaves the VM as it is and stops following.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _loop.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (_running is { } running)
            await running.DisposeAsync();
        _stop.Dispose();
    }

    private async Task RunAsync()
    {
        await Task.Yield();
        while (!_stop.IsCancellationRequested)
        {
            var woken = _wake.Rearm();
            try
            {
                if (_running is { Ended.IsCompleted: true } ended)
                    await CollectAsync(ended);
                if (await ConvergeAsync())
                    return;
            }
            catch (OperationCanceledException) when (_stop.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or TimeoutException or InvalidOperationException)
            {
                // The agent's own disk, most likely. The VM is not touched; the next wish is tried again.
                Broken(_services.Log, e, _record.Name);
                Report(VmState.Failed, new Problem { Code = "agent-failed", Title = "The agent could not do its work", Detail = e.Message, Remedy = "Look into the agent's log on the host." });
            }
            await WaitAsync(woken, Timeout.InfiniteTimeSpan).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    // Until a wish comes, the guest ends, the limit passes, or the agent stops.
    private async Task WaitAsync(Task woken, TimeSpan limit)
    {
        using var round = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        var late = Task.Delay(limit, _services.Time, round.Token);
        await Task.WhenAny(woken, late, _running?.Ended ?? late);
        await round.CancelAsync();
        _stop.Token.ThrowIfCancellationRequested();
    }

    // True: the VM is removed and gone.
    private async Task<bool> ConvergeAsync()
    {
        if (_removed)
        {
            if (_running is not null)
                await StopAsync(gently: true, seconds: 30);
            lock (_gate)
            {
                if (!_removed)
                    return false;   // wanted again meanwhile; that has woken the loop
                _gone = true;
            }
            _services.Records.Delete(_vmId);
            _services.Board.RemoveVm(_vmId);
            _services.Watcher.Removed(_vmId);
            return true;
        }
        if (_wanted is not { } wanted)
            return false;
        if (_running is null && _record.Phase != VmPhase.Idle && _record.Generation != wanted.Generation && !await ReachAsync(wanted))
            return false;
        switch (wanted.Run)
        {
            case WantedRun.Running when _running is not null:
                if (_record.Generation != wanted.Generation)
                {
                    await SwitchAsync(_running, wanted);
                    Save(_record with { Generation = wanted.Generation, Name = wanted.Name });
                    Report(VmState.Running, null);
                }
                break;
            case WantedRun.Running:
                if (_record.Generation != wanted.Generation)
                    await StartAsync(wanted);
                break;
            case WantedRun.Stopped or WantedRun.Off:
                if (_running is not null)
                    await StopAsync(wanted.Run == WantedRun.Stopped, wanted.StopSeconds);
                if (_record.Generation != wanted.Generation && ReferenceEquals(_wanted, wanted))
                {
                    Save(_record with { Generation = wanted.Generation, Name = wanted.Name, Problem = null });
                    Report(VmState.Stopped, null);
                }
                break;
            default:
                break;   // of a newer control plane
        }
        // A wish that came meanwhile is in the channel, and wakes the loop.
        return false;
    }

    // The VM has a process that did not answer. Try again with the new wish; a wish to stop it ends the process without being asked.
    private async Task<bool> ReachAsync(WantedVm wanted)
    {
        if (wanted.Run != WantedRun.Running)
            await _services.Launcher.KillAsync(_vmId, _record.ProcessId);
        await AdoptAsync(_stop.Token);
        if (_running is not null || _record.Phase == VmPhase.Idle)
            return true;
        Save(_record with { Generation = wanted.Generation });
        Report(VmState.Failed, _observed.Problem);
        return false;
    }

    private async Task StartAsync(WantedVm wanted)
    {
        _observed.Steps.Clear();
        Save(_record with { Name = wanted.Name, Generation = wanted.Generation, Problem = null, BootId = _bootId, EndReason = "" });
        Report(VmState.Starting, null);
        var steps = new StepList(_services.Time, ReportSteps);
        try
        {
            await _services.PfsSettled().WaitAsync(_stop.Token);
            var running = await _services.Starter.StartAsync(
                wanted, steps, (devices, cpus) => Save(_record with { Phase = VmPhase.Starting, Devices = devices, Cpus = cpus }), pid => Save(_record with { ProcessId = pid }), _stop.Token);
            var now = _services.Time.GetUtcNow().ToUnixTimeMilliseconds();
            await RunsAsync(running, _record with { Phase = VmPhase.Running, StartedAt = now }, wanted);
            _services.Events.Info("vm-started", $"{wanted.Name} runs: process {running.ProcessId}.", _vmId);
            Started(_services.Log, wanted.Name, running.ProcessId);
        }
        catch (ProblemException e)
        {
            Save(_record with { Phase = VmPhase.Idle, Devices = [], Cpus = [], ProcessId = 0, Problem = ProblemRecord.Of(e.Problem) });
            Report(VmState.Failed, e.Problem);
            _services.Events.Error("vm-failed", $"{wanted.Name}: {e.Problem.Title.TrimEnd('.')}. {e.Problem.Detail}", _vmId);
            Failed(_services.Log, wanted.Name, e.Problem.Detail);
        }
    }

    private async Task RunsAsync(RunningVm running, VmRecord record, WantedVm? wanted)
    {
        _running = running;
        if (wanted is not null)
            await SwitchAsync(running, wanted);
        Save(record);
        Report(VmState.Running, null);
        await _services.Watcher.StartedAsync(wanted ?? new WantedVm { VmId = _vmId, Name = record.Name }, running);
    }

    private async Task SwitchAsync(RunningVm running, WantedVm wanted)
    {
        foreach (var refused in await _services.Switches.ApplyAsync(running, wanted, _stop.Token))
            _services.Events.Error("switch-refused", $"{wanted.Name}: {refused}", _vmId);
    }

    private async Task StopAsync(bool gently, uint seconds)
    {
        var running = _running!;
        _observed.Steps.Clear();
        Report(VmState.Stopping, null);
        var steps = new StepList(_services.Time, ReportSteps);
        if (gently)
            await steps.RunAsync("Press the power button", () => PressAndWaitAsync(running, TimeSpan.FromSeconds(seconds)));
        await steps.RunAsync("End the VM's process", async () =>
        {
            await CollectAsync(running, asked: true);
            return _record.EndReason;
        });
    }

    private async Task<string> PressAndWaitAsync(RunningVm running, TimeSpan limit)
    {
        var start = _services.Time.GetTimestamp();
        try
        {
            await running.Client.PowerButtonAsync(_stop.Token);
        }
        catch (Exception e) when (e is VmmProblemException or IOException)
        {
            return e.Message;
        }
        while (!running.Ended.IsCompleted)
        {
            var woken = _wake.Rearm();
            var rest = limit - _services.Time.GetElapsedTime(start);
            if (rest <= TimeSpan.Zero)
                return $"The guest did not switch itself off within {limit.TotalSeconds:0} s.";
            if (_wanted is { Run: WantedRun.Off } && !_removed)
                return "Overtaken by the order to switch it off at once.";
            await WaitAsync(woken, rest);
        }
        return "The guest switched itself off.";
    }

    // The guest has ended, or is to end now: the process leaves, the devices go back.
    private async Task CollectAsync(RunningVm running, bool asked = false)
    {
        var byItself = running.Ended.IsCompletedSuccessfully;
        await running.EndAsync();
        var end = await running.Ended.WaitAsync(TimeSpan.FromSeconds(10), _services.Time);
        _running = null;
        _services.Watcher.Ended(_vmId);
        await running.DisposeAsync();
        HasEnded(end, asked || !byItself);
    }

    private void HasEnded(VmEnd end, bool asked)
    {
        var reason = EndJudge.Word(end.Reason);
        var ranFor = TimeSpan.FromMilliseconds(Math.Max(0, end.At - _record.StartedAt));
        Release();
        var record = _record with { Phase = VmPhase.Idle, Devices = [], Cpus = [], ProcessId = 0, StartedAt = 0, EndReason = reason };
        _services.Events.Info("vm-ended", $"{_record.Name} ended after {ranFor:d\\.hh\\:mm\\:ss}: {reason}. {end.Text}", _vmId);
        HasEnded(_services.Log, _record.Name, reason, end.Text);
        var verdict = _ends.Judge(end, ranFor, asked);
        if (verdict.StartAgain)
        {
            Save(record with { Generation = 0 });   // so that it is started again; until that is told, it counts as running
            return;
        }
        Save(record with { Problem = verdict.Problem is { } problem ? ProblemRecord.Of(problem) : record.Problem });
        Report(verdict.Problem is null ? VmState.Stopped : VmState.Failed, verdict.Problem);
    }

    private void Release()
    {
        _services.Launcher.Forget(_vmId);
        _services.Devices.Release(_record.Devices, _vmId);
        _services.Claims.Release(_vmId);
        _services.Cpus.Release(_vmId);
    }

    private void Save(VmRecord record)
    {
        _services.Records.Save(record);
        _record = record;
    }

    private void ReportSteps(IReadOnlyList<Step> steps)
    {
        _observed.Steps.Clear();
        _observed.Steps.AddRange(steps.Select(s => s.Clone()));
        _services.Board.Report(_observed);
    }

    private void Report(VmState state, Problem? problem)
    {
        _observed.State = state;
        _observed.Problem = problem;
        _observed.Generation = _record.Generation;
        _observed.ProcessId = (uint)(_running?.ProcessId ?? 0);
        _observed.StartedAt = _running is null ? 0 : _record.StartedAt;
        _observed.EndReason = _record.EndReason;
        _services.Board.Report(_observed);
    }

    [LoggerMessage(40, LogLevel.Information, "{Name} runs: process {ProcessId}")]
    private static partial void Started(ILogger log, string name, int processId);

    [LoggerMessage(41, LogLevel.Information, "{Name} was found running: process {ProcessId}")]
    private static partial void Adopted(ILogger log, string name, int processId);

    [LoggerMessage(42, LogLevel.Warning, "{Name} could not be started: {Reason}")]
    private static partial void Failed(ILogger log, string name, string reason);

    [LoggerMessage(43, LogLevel.Information, "{Name} ended: {Reason}. {Text}")]
    private static partial void HasEnded(ILogger log, string name, string reason, string text);

    [LoggerMessage(44, LogLevel.Error, "{Name}: the agent could not do its work")]
    private static partial void Broken(ILogger log, Exception exception, string name);
}
