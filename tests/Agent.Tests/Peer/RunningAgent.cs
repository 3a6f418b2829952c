using Exitless.Agent.Logging;

namespace Exitless.Agent.Tests.Peer;

/// <summary>The whole agent in this process, on this machine's own /sys and /proc.</summary>
internal sealed class RunningAgent : IAsyncDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly StringWriter _log = new();
    private readonly AgentDaemon _daemon;
    private readonly Task _run;

    public RunningAgent(string folder, ScriptedControlPlane? plane, string token = ScriptedControlPlane.GoodToken)
    {
        var options = new AgentOptions(
            Path.Combine(folder, "state"), Path.Combine(folder, "run"), plane?.Address, plane is null ? null : token, plane?.Authority.Fingerprint);
        _daemon = new AgentDaemon(options, TimeProvider.System, new StderrLog(TimeProvider.System, TextWriter.Synchronized(_log), forJournal: false));
        _run = _daemon.RunAsync(_stop.Token);
    }

    public string Log => _log.ToString();

    public Task Ended => _run;

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _run.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await _daemon.DisposeAsync();
        _stop.Dispose();
    }
}
