using Exitless.Agent.Identity;
using Exitless.Agent.Wanted;
using Exitless.Contracts;
using Exitless.Linux;
using Grpc.Core;
using Microsoft.Extensions.Logging;

namespace Exitless.Agent.Link;

/// <summary>
/// The one stream to the control plane: opens it, says hello, waits for the welcome, then sends what the sources have and hands out what arrives; opens it again after
/// every failure, with a delay that doubles up to a limit and is drawn at random, so that thousands of agents do not come back at one instant.
/// </summary>
internal sealed partial class ControlLink(
    CertificateStore store, ServerChannel channels, Enroller enroller, HostRoot root, Uri server, AsyncSignal signal, IReadOnlyList<ILinkSource> sources,
    WantedStore wanted, Action<ControlMessage> receive, TimeProvider time, ILogger log)
{
    private const uint Protocol = 1;
    private const int MostVmsOfMessage = 32;
    private static readonly TimeSpan FirstDelay = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan LongestDelay = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan HeartbeatPeriod = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan WelcomeLimit = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan RenewRetry = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan LongestTimer = TimeSpan.FromDays(1);   // timers end at 49 days

    /// <summary>Runs until cancelled.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        var delay = FirstDelay;
        string? lastFailure = null;
        while (!stop.IsCancellationRequested)
        {
            var welcomed = false;
            try
            {
                using var identity = store.Load();
                using var channel = channels.Open(server, identity);
                await AttachAsync(new AgentLink.AgentLinkClient(channel), identity, () =>
                {
                    welcomed = true;
                    lastFailure = null;
                }, stop);
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e) when (e is RpcException or TimeoutException or AgentException or IOException or InvalidOperationException or OperationCanceledException)
            {
                var words = e is RpcException rpc ? $"{rpc.StatusCode}: {rpc.Status.Detail}" : e.Message;
                if (!string.Equals(words, lastFailure, StringComparison.Ordinal))   // a control plane that is down for hours is one line, not thousands
                    LinkLost(log, server, words);
                lastFailure = words;
            }
            delay = welcomed ? FirstDelay : Min(delay * 2, LongestDelay);
            await Task.Delay(delay * (0.5 + Random.Shared.NextDouble() / 2), time, stop).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task AttachAsync(AgentLink.AgentLinkClient client, AgentIdentity identity, Action onWelcome, CancellationToken stop)
    {
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(stop);
        using var call = client.Attach(cancellationToken: ended.Token);
        await call.RequestStream.WriteAsync(new AgentMessage
        {
            Hello = new Hello
            {
                Protocol = Protocol,
                HostId = identity.HostId,
                HostName = HostFacts.Name(root),
                AgentVersion = HostFacts.AgentVersion,
                BootId = HostFacts.BootId(root),
                WantedGeneration = wanted.Generation,
                TakesAcks = true,
            },
        }, ended.Token);
        var first = await NextAsync(call.ResponseStream, ended.Token).WaitAsync(WelcomeLimit, time, ended.Token);
        if (first?.Welcome is not { } welcome)
            throw new InvalidOperationException("The control plane did not begin with its welcome.");
        onWelcome();
        LinkOpen(log, server, identity.HostId);
        if (welcome.SendStored)
        {
            Handing(log, wanted.Generation);
            await call.RequestStream.WriteAsync(new AgentMessage { Stored = wanted.Current ?? new WantedState() }, ended.Token);
        }
        foreach (var source in sources)
            source.Restart(welcome);
        Task[] work = [ReadAsync(call.ResponseStream, ended.Token), WriteAsync(call.RequestStream, welcome.TakesMany, ended.Token), RenewAsync(client, identity, ended.Token)];
        var done = await Task.WhenAny(work);
        await ended.CancelAsync();
        foreach (var task in work)
        {
            // The others end by the cancellation; each is awaited so that no exception goes unobserved.
            if (task != done)
                await task.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
        await done;
    }

    private async Task ReadAsync(IAsyncStreamReader<ControlMessage> stream, CancellationToken stop)
    {
        while (await NextAsync(stream, stop) is { } message)
            receive(message);
        throw new InvalidOperationException("The control plane closed the stream.");
    }

    private async Task WriteAsync(IClientStreamWriter<AgentMessage> stream, bool takesMany, CancellationToken stop)
    {
        var many = new List<AgentMessage>();
        while (true)
        {
            var changed = signal.Rearm();
            var sent = true;
            while (sent)
            {
                // One message of each in turn: a console that pours out text holds up no state.
                sent = false;
                foreach (var source in sources)
                {
                    if (source.Next() is not { } message)
                        continue;
                    sent = true;
                    // Rows wait for more rows, and for nothing else: a schema stays before those that name it.
                    if (takesMany && message.Rows is not null && many.Count < MostVmsOfMessage)
                    {
                        many.Add(message);
                        continue;
                    }
                    await FlushAsync(stream, many, stop);
                    await stream.WriteAsync(message, stop);
                }
            }
            await FlushAsync(stream, many, stop);
            try
            {
                await changed.WaitAsync(HeartbeatPeriod, time, stop);
            }
            catch (TimeoutException)
            {
                await stream.WriteAsync(new AgentMessage { Heartbeat = new Heartbeat { Time = time.GetUtcNow().ToUnixTimeMilliseconds() } }, stop);
            }
        }
    }

    private static async Task FlushAsync(IClientStreamWriter<AgentMessage> stream, List<AgentMessage> many, CancellationToken stop)
    {
        if (many.Count == 1)
            await stream.WriteAsync(many[0], stop);
        else if (many.Count > 1)
            await stream.WriteAsync(new AgentMessage { Many = new RowsOfMany { Rows = { many.Select(m => m.Rows) } } }, stop);
        many.Clear();
    }

    // Ends when there is a new certificate, so that the stream is opened again with it.
    private async Task RenewAsync(AgentLink.AgentLinkClient client, AgentIdentity identity, CancellationToken stop)
    {
        while (true)
        {
            var wait = identity.RenewAt - time.GetUtcNow();
            if (wait > TimeSpan.Zero)
            {
                await Task.Delay(Min(wait, LongestTimer), time, stop);
                continue;
            }
            try
            {
                await enroller.RenewAsync(client, stop);
                Renewed(log);
                return;
            }
            catch (Exception e) when (e is RpcException or TimeoutException or AgentException && !stop.IsCancellationRequested)
            {
                RenewalFailed(log, e, identity.Certificate.NotAfter);
                await Task.Delay(RenewRetry, time, stop);
            }
        }
    }

    private static async Task<ControlMessage?> NextAsync(IAsyncStreamReader<ControlMessage> stream, CancellationToken stop) =>
        await stream.MoveNext(stop) ? stream.Current : null;

    private static TimeSpan Min(TimeSpan a, TimeSpan b) => a < b ? a : b;

    [LoggerMessage(1, LogLevel.Information, "Linked to the control plane at {Server} as host {HostId}")]
    private static partial void LinkOpen(ILogger log, Uri server, string hostId);

    [LoggerMessage(2, LogLevel.Warning, "No link to the control plane at {Server}: {Reason}. VMs go on; trying again.")]
    private static partial void LinkLost(ILogger log, Uri server, string reason);

    [LoggerMessage(3, LogLevel.Information, "The certificate was renewed")]
    private static partial void Renewed(ILogger log);

    [LoggerMessage(4, LogLevel.Warning, "The certificate, good until {NotAfter}, could not be renewed; trying again in a minute")]
    private static partial void RenewalFailed(ILogger log, Exception exception, DateTime notAfter);

    [LoggerMessage(5, LogLevel.Warning, "The control plane's database was restored from an older copy; it is handed what this host was last told, generation {Generation}")]
    private static partial void Handing(ILogger log, ulong generation);
}
