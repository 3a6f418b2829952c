using Exitless.Linux;
using Exitless.Vmm.Control;

namespace Exitless.Agent.Machines;

/// <summary>A VM's process that this agent holds: its pidfd, its control socket, and the task that tells how the guest ended.</summary>
internal sealed class RunningVm : IAsyncDisposable
{
    private static readonly TimeSpan LeaveLimit = TimeSpan.FromSeconds(10);
    private const int SigKill = 9;
    private readonly CancellationTokenSource _stop = new();
    private readonly ProcessDescriptor _process;
    private readonly TimeProvider _time;

    public RunningVm(ProcessDescriptor process, VmmClient client, string socketPath, long startedAt, TimeProvider time)
    {
        (_process, Client, SocketPath, StartedAt, _time) = (process, client, socketPath, startedAt, time);
        Exited = process.WaitForExitAsync(_stop.Token);
    }

    public int ProcessId => _process.Id;

    public VmmClient Client { get; }

    public string SocketPath { get; }

    /// <summary>The Unix socket of its vsock; there is one if the VM's reports are asked for.</summary>
    public string VsockPath => VmmLauncher.VsockBeside(SocketPath);

    /// <summary>Unix milliseconds.</summary>
    public long StartedAt { get; }

    /// <summary>Completes when the process is gone.</summary>
    public Task<int?> Exited { get; }

    /// <summary>Completes when the guest has ended, or its process is gone.</summary>
    public Task<VmEnd> Ended { get; private set; } = Task.FromException<VmEnd>(new InvalidOperationException("The VM has not been launched."));

    /// <summary>Begins to watch for the guest's end. Call once the guest runs.</summary>
    public void Watch() => Ended = WatchAsync();

    /// <summary>Ends the guest and the process: asks first, then kills. On return the process is gone.</summary>
    public async Task EndAsync()
    {
        try
        {
            using var limit = new CancellationTokenSource(LeaveLimit, _time);
            await Client.EndAsync(limit.Token);
            await Exited.WaitAsync(LeaveLimit, _time);
            return;
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or TimeoutException or VmmProblemException or ObjectDisposedException)
        {
            // It does not answer or does not leave.
        }
        _process.Signal(SigKill);
        await ((Task)Exited.WaitAsync(LeaveLimit, _time)).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await ((Task)Exited).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await ((Task)Ended).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await Client.DisposeAsync();
        _process.Dispose();
        _stop.Dispose();
    }

    private async Task<VmEnd> WatchAsync()
    {
        try
        {
            // From an offset beyond all output: only the end is of interest here.
            await foreach (var happening in Client.EventsAsync(long.MaxValue, _stop.Token))
            {
                if (happening is VmmEnded ended)
                    return ended.End;
            }
        }
        catch (Exception e) when (e is IOException or VmmProblemException)
        {
            // The socket is gone; the process tells the rest.
        }
        var code = await Exited.WaitAsync(_stop.Token);
        var how = code switch
        {
            null => "The VM's process is gone.",
            > 128 => $"The VM's process was ended by signal {code - 128}.",
            _ => $"The VM's process left with code {code}.",
        };
        return new VmEnd(VmEndReason.Killed, how, _time.GetUtcNow().ToUnixTimeMilliseconds());
    }
}
